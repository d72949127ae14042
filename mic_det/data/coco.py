"""Reading COCO JSON files and folders of images into detectron2 dataset dicts, with errors that name the file."""

import gzip
import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from detectron2.structures import BoxMode

from mic_det.data.box_checks import is_outside, odd_boxes
from mic_det.data.classes import sorted_categories
from mic_det.data.coco_schema import check_structure, name_of, usable_entries, validate_detections
from mic_det.data.faults import Faults
from mic_det.data.files import IMAGE_SUFFIXES, find_files
from mic_det.data.images import image_size
from mic_det.data.records import Content, Item, Record
from mic_det.data.stream import READ_ERRORS
from mic_det.errors import UserError
from mic_det.validation import refuse

GZIP = b"\x1f\x8b"  # first bytes of a file


def read_json(path: str | Path, what: str, cure: str = "") -> Any:
    """Parse a JSON file, plain or gzip; raise UserError that begins with `what` when it is missing or broken."""
    try:
        data = Path(path).read_bytes()
        return json.loads(gzip.decompress(data) if data.startswith(GZIP) else data)
    except FileNotFoundError:
        raise UserError(f"{what} {path} does not exist.{cure}") from None
    except json.JSONDecodeError as error:
        lines = " It seems to be JSON lines: one value is needed." if error.msg == "Extra data" else ""
        raise UserError(f"{what} {path} is not valid JSON: {error}.{lines}") from None
    except (OSError, EOFError, ValueError, RecursionError) as error:
        raise UserError(f"{what} {path} cannot be read: {error}.") from None


def load_json(path: str | Path, cure: str = "", labelled: bool = True) -> Content:
    """Parse a COCO JSON file.

    Args:
        cure: ends the sentence about a missing file.
        labelled: see `check_structure`.

    Raises:
        UserError: naming the file when it is missing or broken, and every fault of its structure.
    """
    return check_structure(read_json(path, "Annotation file", cure), f"Annotation file {path}", labelled)


def load_detections(path: str | Path) -> list[Item]:
    """A list of COCO results. Raises UserError naming the file when it is missing, broken or holds something else."""
    return validate_detections(read_json(path, "Detections file"), f"Detections file {path}")


def image_record(image: Item, image_root: str | Path) -> Record:
    """Dataset dict of an image; without "height" and "width" where they are not known."""
    record = {"file_name": str(Path(image_root) / image["file_name"]), "image_id": image["id"]}
    sizes = {key: image.get(key) for key in ("height", "width")}
    return record if None in sizes.values() else {**record, **sizes}


def read_images(path: str | Path, image_root: str | Path, cure: str = "") -> list[Record]:
    """Dataset dicts of a COCO JSON's images; annotations, if there are any, are never looked at."""
    faults, content = Faults(), load_json(path, cure, labelled=False)
    images = usable_images(content, f"Annotation file {path}", faults)
    faults.report(str(path))
    return [image_record(image, image_root) for image in images]


def read_folder(folder: str | Path) -> list[Record]:
    """Dataset dicts of every image file below a folder, sorted by name. Sizes are found when an image is read."""
    files = find_files(folder)
    if not files:
        raise UserError(f"Folder {folder} holds no images ({', '.join(sorted(IMAGE_SUFFIXES))}).")
    return [{"file_name": str(file), "image_id": index} for index, file in enumerate(files, start=1)]


def usable_images(content: Content, where: str, faults: Faults) -> list[Item]:
    """The images of a COCO dictionary that follow the schema, each once.

    Raises:
        UserError: when none does, or two different ones have the same id.
    """
    files = defaultdict(set)
    images: dict[int | str, Item] = {}
    for image in usable_entries(content, "images", where, faults):
        files[image["id"]].add(image["file_name"])
        if image["id"] in images:
            faults.add("image that stands twice", repr(image["file_name"]))
        images.setdefault(image["id"], image)
    twice = [f"the image id {number!r} stands for {', '.join(sorted(own)[:3])}" for number, own in files.items() if len(own) > 1]
    refuse(where, twice)
    return list(images.values())


def fill_sizes(images: Iterable[Item], image_root: str | Path) -> None:
    """Width and height of images that lack one, from the files' headers; in place. Those of unreadable files stay unknown."""
    for image in images:
        if None in (image.get("height"), image.get("width")):
            try:
                image["height"], image["width"] = image_size(Path(image_root) / image["file_name"])
            except READ_ERRORS:
                image["height"] = image["width"] = None


def annotation_fault(item: Item, images: Mapping[int | str, Item], category_ids: Collection[int | str]) -> str | None:
    """Why an annotation that follows the schema cannot be used, or None.

    Args:
        images: {id: image}.
    """
    image = images.get(item["image_id"])
    if image is None:
        return "its image is not in the file, or was left out"
    if item["category_id"] not in category_ids:
        return "its category is not in the file"
    if min(item["bbox"][2:]) <= 0:
        return "its bbox has no area"
    height, width = image.get("height"), image.get("width")
    if height is not None and width is not None and is_outside(item["bbox"], height, width):
        return "its bbox is wholly outside the image"
    return None


def usable_content(content: Any, where: str, image_root: str | Path | None = None) -> tuple[Content, Faults]:
    """(COCO dictionary of the images and annotations that can be used, Faults of the others).

    Args:
        where: what to call it in messages.
        image_root: folder of the images, whose headers give missing sizes; None leaves them unknown.

    Raises:
        UserError: that lists all faults of its structure.
    """
    faults, content = Faults(), check_structure(content, where, labelled=True)
    images = usable_images(content, where, faults)
    if image_root is not None:
        fill_sizes(images, image_root)
    by_id, category_ids, kept = {image["id"]: image for image in images}, {item["id"] for item in content["categories"]}, []
    for item in usable_entries(content, "annotations", where, faults):
        fault = annotation_fault(item, by_id, category_ids)
        if fault is None:
            kept.append(item)
        else:
            faults.add(f"annotation left out because {fault}", f"{shown(item)}{name_of(item)}")
    return {**content, "images": images, "annotations": kept}, faults


def shown(item: Item) -> str:
    """What tells an annotation apart, for messages."""
    return ", ".join(f"{key} {item[key]!r}" for key in ("image_id", "category_id", "bbox"))


def drop_faulty(content: Any, where: str) -> Content:
    """`usable_content`, whose faults and odd boxes are reported."""
    content, faults = usable_content(content, where)
    faults.merge(odd_boxes(content))
    faults.report(where)
    return content


def labelled_records(content: Content, image_root: str | Path) -> list[Record]:
    """Detectron2's dataset dicts of a usable COCO dictionary; classes count from 0 in the order of their ids."""
    index = {category["id"]: position for position, category in enumerate(sorted_categories(content))}
    records = {image["id"]: {**image_record(image, image_root), "annotations": []} for image in content["images"]}
    for annotation in content["annotations"]:
        item = {
            "bbox": annotation["bbox"],
            "bbox_mode": BoxMode.XYWH_ABS,
            "category_id": index[annotation["category_id"]],
            "iscrowd": annotation.get("iscrowd", 0),
        }
        if annotation.get("segmentation"):
            item["segmentation"] = annotation["segmentation"]
        records[annotation["image_id"]]["annotations"].append(item)
    return list(records.values())
