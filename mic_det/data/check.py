"""What is in a dataset and what is wrong with it, before anything is trained on it."""

import os
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog, MetadataCatalog
from tqdm import tqdm

from mic_det.config import num_classes, num_classes_key
from mic_det.data.build import check_files, class_mismatch, classes_of, has_object, reader, record_fault
from mic_det.data.catalog import load_labelled, load_unlabelled
from mic_det.data.classes import category_names
from mic_det.data.coco import image_record
from mic_det.data.coco_schema import NoLabels
from mic_det.data.faults import Faults
from mic_det.data.images import ImageReader
from mic_det.data.records import Record
from mic_det.data.statistics import collect
from mic_det.errors import UserError

SIZES = {"small": 32**2, "medium": 96**2, "large": float("inf")}  # COCO's limits of the area in pixels


@dataclass
class DatasetCheck:
    """Findings on one dataset.

    Attributes:
        classes: names; [] for a dataset whose labels are not used.
        records: dataset dicts of the images that can be named, with "annotations" in COCO's format, or with label images.
        bad_files: (file, reason) of those records that training would leave out.
        objects: Counter of (class name, column): objects by size, or images and pixels of a segmentation dataset; of what is
            used.
        columns: what is counted, in order.
        empty: images without objects.
        faults: what is left out, and what is odd although it is used.
    """

    name: str
    classes: list[str]
    records: list[Record]
    bad_files: list[tuple[str, str]] = field(default_factory=list)
    objects: Counter[tuple[str, str]] = field(default_factory=Counter)
    columns: tuple[str, ...] = tuple(SIZES)
    empty: int = 0
    faults: Faults = field(default_factory=Faults)

    @property
    def images(self) -> int:
        """How many there are, bad files included."""
        return len(self.records)

    @property
    def usable(self) -> list[Record]:
        """Records without the bad files."""
        bad = {file for file, _ in self.bad_files}
        return [record for record in self.records if record["file_name"] not in bad]


def kind_of(name: str) -> str | None:
    """Detectron2's evaluator_type of a registered dataset: coco, sem_seg or classification; None for others."""
    return MetadataCatalog.get(name).get("evaluator_type") if name in DatasetCatalog.list() else None


def check_dataset(name: str, labelled: bool | None = None, read: ImageReader | None = None, decode: bool = False) -> DatasetCheck:
    """Read a registered dataset, a folder or a JSON file as training would, and count what is used of it.

    Args:
        labelled: whether its labels are used, as those of DATASETS.TRAIN and TEST are, or not, as for TARGET; None uses them
            where there are any.
        read: ImageReader of the run.
        decode: read every image completely instead of looking at its header.

    Raises:
        UserError: when training could not use it.
    """
    result = open_dataset(name, labelled)
    fault = partial(record_fault, read=(read or reader()) if decode else None, num_classes=len(result.classes))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        found = tqdm(pool.map(fault, result.records), total=result.images, desc=name, unit="image", disable=None)
        result.bad_files = [
            (record["file_name"], reason) for record, reason in zip(result.records, found, strict=True) if reason is not None
        ]
    check_files(result.records, name, read or reader())
    if kind_of(name) == "sem_seg" and result.classes:
        count_label_images(result)
    elif kind_of(name) == "classification" and result.classes:
        result.objects = Counter((result.classes[record["label"]], "images") for record in result.usable)
        result.columns = ("images",)
    elif result.classes:
        count_boxes(result)
    return result


def open_dataset(name: str, labelled: bool | None = None) -> DatasetCheck:
    """A DatasetCheck with the records that training would see, nothing counted; see `check_dataset`."""
    kind = kind_of(name)
    if labelled is False or (kind is None and not labelled):
        return DatasetCheck(name, [], load_unlabelled(name))
    if hasattr(MetadataCatalog.get(name), "inspect"):
        try:
            return open_boxes(name)
        except NoLabels:
            if labelled:
                raise
            return DatasetCheck(name, [], load_unlabelled(name))
    records = load_labelled(name)
    # Of detectron2's own datasets with boxes nothing but the images is looked at.
    return DatasetCheck(name, classes_of(name) if kind in ("sem_seg", "classification") else [], records)


def open_boxes(name: str) -> DatasetCheck:
    """`open_dataset` of a dataset with boxes."""
    metadata = MetadataCatalog.get(name)
    content, faults = metadata.inspect()
    records = {image["id"]: {**image_record(image, metadata.image_root()), "annotations": []} for image in content["images"]}
    for item in content["annotations"]:
        records[item["image_id"]]["annotations"].append(item)
    return DatasetCheck(name, category_names(content), list(records.values()), faults=faults)


def count_boxes(result: DatasetCheck) -> None:
    """Count the objects of every class by size, in place; ids of the classes count from 1."""
    for record in result.usable:
        result.empty += not has_object(record)
        for item in record["annotations"]:
            if item.get("iscrowd", 0):
                result.faults.add("crowd, which counts as no object", f"{item['bbox']} in {record['file_name']}")
            else:
                name, size = result.classes[item["category_id"] - 1], size_name(item["bbox"][2] * item["bbox"][3])
                result.objects[name, size] += 1


def count_label_images(result: DatasetCheck) -> None:
    """Count images and pixels of every class, in place; label images that cannot be used are faults."""
    files = [record["sem_seg_file_name"] for record in result.usable]
    counts, bad = collect(files, len(result.classes), f"labels of {result.name}")
    for message in bad:
        result.faults.add("label image that cannot be used", message)
    for found in counts.values():
        for index, pixels in found.items():
            result.objects[result.classes[index], "images"] += 1
            result.objects[result.classes[index], "pixels"] += pixels
    result.columns, result.empty = ("images", "pixels"), sum(not found for found in counts.values())


def size_name(area: float) -> str:
    """COCO's word for an object of so many square pixels."""
    return next(name for name, limit in SIZES.items() if area < limit)


def with_classes_of_data(cfg: CfgNode) -> tuple[CfgNode, str | None]:
    """A config for as many classes as DATASETS.TRAIN has, and a note where it had another number.

    That number is a setting of the model, which is often given to training on the command line; it is no fault of the data.
    """
    if not cfg.DATASETS.TRAIN:
        return cfg, None
    name, key = cfg.DATASETS.TRAIN[0], num_classes_key(cfg)
    load_labelled(name)
    count = len(classes_of(name))
    if count == num_classes(cfg):
        return cfg, None
    note = f"{key} is {num_classes(cfg)}, but '{name}' has {count} classes: train with {key} {count}."
    cfg = cfg.clone()
    cfg.defrost()
    cfg.merge_from_list([key, count])
    return cfg, note


def check_names(
    names: Iterable[str], decode: bool = False, cfg: CfgNode | None = None, check_run: Callable[[], None] | None = None
) -> tuple[list[DatasetCheck], list[str]]:
    """(checks, sentences of failure) for datasets that are to be trained together.

    Args:
        names: registered names, folders or JSON files, whose labels are used where there are any.
        cfg: config with further datasets in DATASETS.TRAIN, TARGET and TEST, and with the way to read images.
        check_run: () -> None, what training with `cfg` checks first; it raises UserError.
    """
    train, target, test = (cfg.DATASETS.TRAIN, cfg.DATASETS.TARGET, cfg.DATASETS.TEST) if cfg is not None else ((), (), ())
    labelled = dict.fromkeys(names) | dict.fromkeys(target, False) | dict.fromkeys((*train, *test), True)
    checks, failures = [], []
    for name in dict.fromkeys((*train, *target, *test, *names)):
        try:
            checks.append(check_dataset(name, labelled[name], reader(cfg), decode))
            if labelled[name] is None and checks[-1].classes and not checks[-1].objects:
                failures.append(f"{name}: it has no usable object.")
        except UserError as error:
            failures.append(str(error))
    mismatch = class_mismatch({check.name: check.classes for check in checks if check.classes})
    failures += [mismatch] if mismatch else []
    if check_run is not None and not failures:
        try:
            check_run()
        except UserError as error:
            failures.append(str(error))
    return checks, failures
