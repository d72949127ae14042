"""What is in a dataset and what is wrong with it, before anything is trained on it."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import cv2
from detectron2.data import DatasetCatalog, MetadataCatalog
from PIL import Image
from tqdm import tqdm

from mic_det.data.catalog import load_labelled, load_unlabelled
from mic_det.data.classes import category_names
from mic_det.data.coco import annotation_fault, image_record
from mic_det.data.statistics import collect
from mic_det.errors import UserError

SIZES = {"small": 32**2, "medium": 96**2, "large": float("inf")}  # COCO's limits of the area in pixels


@dataclass
class DatasetCheck:
    """Findings on one dataset.

    Attributes:
        classes: names; [] for a dataset without labels.
        images: number of images.
        objects: Counter of (class name, column): objects by size, or images and pixels of a segmentation dataset.
        columns: what is counted, in order.
        empty: images without objects.
        bad_files: images that are missing or unreadable.
        faults: Counter of what is wrong with annotations; "broken" ones are left out in training, the others are not.
        records: dataset dicts with "annotations" in COCO's format, or with label images, for pictures.
    """

    name: str
    classes: list
    images: int = 0
    objects: Counter = field(default_factory=Counter)
    columns: tuple = tuple(SIZES)
    empty: int = 0
    bad_files: list = field(default_factory=list)
    faults: Counter = field(default_factory=Counter)
    records: list = field(default_factory=list)

    def failures(self, must_be_labelled=False):
        """Sentences on why training with this dataset would fail; [] when it would not."""
        found = []
        if len(self.bad_files) == self.images:
            found.append(f"none of its {self.images} images can be read")
        if must_be_labelled and not self.classes:
            found.append("it has no labels")
        elif self.classes and not self.objects:
            found.append("it has no usable object")
        return [f"{self.name}: {reason}." for reason in found]


def is_labelled(name):
    return name in DatasetCatalog.list() and hasattr(MetadataCatalog.get(name), "unchecked")


def kind_of(name):
    """Detectron2's evaluator_type of a registered dataset: coco, sem_seg or classification; None for others."""
    return MetadataCatalog.get(name).get("evaluator_type") if name in DatasetCatalog.list() else None


def check_image_classes(name):
    """Count the images of every class."""
    records = load_labelled(name)
    classes = list(MetadataCatalog.get(name).thing_classes)
    counts = Counter((classes[record["label"]], "images") for record in records)
    return DatasetCheck(name, classes, len(records), counts, columns=("images",), records=records)


def check_label_images(name):
    """Count images and pixels of every class; label images that cannot be used, or are of another size, are faults."""
    classes = MetadataCatalog.get(name).stuff_classes
    records = load_labelled(name)
    counts, bad = collect([record["sem_seg_file_name"] for record in records], len(classes), f"labels of {name}")
    result = DatasetCheck(name, classes, len(records), columns=("images", "pixels"), records=records)
    for found in counts.values():
        for index, pixels in found.items():
            result.objects[classes[index], "images"] += 1
            result.objects[classes[index], "pixels"] += pixels
    result.empty = sum(not found for found in counts.values())
    odd = [record["sem_seg_file_name"] for record in records if sizes_differ(record)]
    for kind, files in (("that cannot be used", bad), ("of another size than its image", odd)):
        if files:
            result.faults[f"label image {kind}, e.g. {files[0]}"] = len(files)
    return result


def sizes_differ(record):
    """Whether the headers of an image and its label image name different sizes; False when one of them cannot be read."""
    try:
        with Image.open(record["file_name"]) as image, Image.open(record["sem_seg_file_name"]) as labels:
            return image.size != labels.size
    except OSError:
        return False


def check_dataset(name, decode=False):
    """Read a registered dataset, a folder or a JSON file and count what is in it.

    Args:
        decode: decode every image completely instead of looking at its header.

    Raises:
        UserError: when it cannot be read at all.
    """
    if kind_of(name) == "sem_seg":
        result = check_label_images(name)
    elif kind_of(name) == "classification":
        result = check_image_classes(name)
    elif not is_labelled(name):
        records = load_unlabelled(name)
        result = DatasetCheck(name, [], len(records), records=records)
    else:
        metadata = MetadataCatalog.get(name)
        content = metadata.unchecked()
        result = check_content(name, content, metadata.image_root())
    result.bad_files = [
        record["file_name"]
        for record in tqdm(result.records, desc=name, unit="image", disable=None)
        if not is_readable(record["file_name"], decode)
    ]
    return result


def is_readable(path, decode):
    if not Path(path).is_file():
        return False
    return cv2.imread(path) is not None if decode else cv2.haveImageReader(path)


def check_content(name, content, image_root):
    """Everything that can be found in a COCO dictionary without opening images."""
    names = category_names(content)
    by_id = {category["id"]: category["name"] for category in content["categories"]}
    records = {image["id"]: {**image_record(image, image_root), "annotations": []} for image in content["images"]}
    result = DatasetCheck(name, names, len(records), records=list(records.values()))
    seen = set()
    for item in content.get("annotations", []):
        fault = annotation_fault(item, records, by_id)
        if fault:
            result.faults[f"broken: {fault}"] += 1
            continue
        record, box = records[item["image_id"]], item["bbox"]
        record["annotations"].append(item)
        result.objects[by_id[item["category_id"]], size_name(box[2] * box[3])] += 1
        result.faults.update(box_faults(box, record))
        key = (item["image_id"], item["category_id"], *box)
        result.faults["duplicated box"] += key in seen
        seen.add(key)
    result.empty = sum(not record["annotations"] for record in result.records)
    result.faults = +result.faults  # without the zeros
    return result


def size_name(area):
    return next(name for name, limit in SIZES.items() if area < limit)


def box_faults(box, record):
    """Names of what is odd about a box that can be trained on."""
    x, y, width, height = box
    if x + width <= 0 or y + height <= 0 or x >= record["width"] or y >= record["height"]:
        return ["box wholly outside the image"]
    inside = x >= -1 and y >= -1 and x + width <= record["width"] + 1 and y + height <= record["height"] + 1
    faults = [] if inside else ["box partly outside the image"]
    return [*faults, *(["box thinner than 1 pixel"] if width < 1 or height < 1 else [])]


def class_mismatch(checks):
    """A sentence when labelled datasets have different class lists, else None."""
    labelled = [check for check in checks if check.classes]
    for check in labelled[1:]:
        if check.classes != labelled[0].classes:
            return (
                f"'{check.name}' has the classes {check.classes}, but '{labelled[0].name}' has {labelled[0].classes}: select and "
                "rename them with `classes` and `mapping` in DATASETS.DECLARE."
            )
    return None


def check_names(names, decode=False, labelled=()):
    """(checks, sentences of failure) for several datasets that are to be trained together.

    Args:
        labelled: those of `names` that must have labels.
    """
    checks, failures = [], []
    for name in names:
        try:
            checks.append(check_dataset(name, decode))
            failures += checks[-1].failures(name in labelled)
        except UserError as error:
            failures.append(str(error))
    mismatch = class_mismatch(checks)
    return checks, [*failures, *([mismatch] if mismatch else [])]
