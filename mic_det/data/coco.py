"""Reading COCO JSON files and folders of images into detectron2 dataset dicts, with errors that name the file."""

import json
import logging
from collections import Counter
from pathlib import Path

from detectron2.structures import BoxMode
from detectron2.utils.logger import log_first_n

from mic_det.data.files import IMAGE_SUFFIXES, find_files
from mic_det.errors import UserError


def read_json(path, what, cure=""):
    """Parse a JSON file; raise UserError that begins with `what` when it is missing or broken."""
    try:
        return json.loads(Path(path).read_text())
    except FileNotFoundError:
        raise UserError(f"{what} {path} does not exist.{cure}") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{what} {path} is not valid JSON: {error}.") from None


def load_json(path, cure=""):
    """Parse a COCO JSON file. Raises UserError naming the file when it is missing, broken or has no images."""
    content = read_json(path, "Annotation file", cure)
    if not isinstance(content, dict) or not content.get("images"):
        raise UserError(f"Annotation file {path} lists no images: it must be a COCO dictionary with an 'images' list.")
    return content


def load_detections(path):
    """A list of COCO results. Raises UserError naming the file when it is missing, broken or holds something else."""
    content = read_json(path, "Detections file")
    keys = {"image_id", "category_id", "bbox", "score"}
    if not isinstance(content, list) or not all(isinstance(item, dict) and keys <= item.keys() for item in content):
        raise UserError(f"Detections file {path} must be a list of entries with {', '.join(sorted(keys))}.")
    return content


def image_record(image, image_root):
    return {
        "file_name": str(Path(image_root) / image["file_name"]),
        "image_id": image["id"],
        "height": image["height"],
        "width": image["width"],
    }


def read_images(path, image_root, cure=""):
    """Dataset dicts of a COCO JSON's images; annotations, if there are any, are never looked at."""
    return [image_record(image, image_root) for image in load_json(path, cure)["images"]]


def read_folder(folder):
    """Dataset dicts of every image file below a folder, sorted by name. Sizes are found when an image is read."""
    files = find_files(folder)
    if not files:
        raise UserError(f"Folder {folder} holds no images ({', '.join(sorted(IMAGE_SUFFIXES))}).")
    return [{"file_name": str(file), "image_id": index} for index, file in enumerate(files, start=1)]


def annotation_fault(annotation, image_ids, category_index):
    """Why an annotation cannot be used, or None."""
    if annotation.get("image_id") not in image_ids:
        return "its image is not in the file"
    if annotation.get("category_id") not in category_index:
        return "its category is not in the file"
    box = annotation.get("bbox")
    if not isinstance(box, list) or len(box) != 4:
        return "its bbox is not a list of four numbers"
    if not all(isinstance(value, int | float) and abs(value) < float("inf") for value in box):
        return "its bbox holds something that is not a finite number"
    if box[2] <= 0 or box[3] <= 0:
        return "its bbox has no area"
    return None


def drop_faulty(content, where):
    """A COCO dictionary without the annotations that cannot be used; they are counted and reported by reason, with an example.

    Args:
        where: what to call it in the report.
    """
    image_ids = {image["id"] for image in content["images"]}
    category_ids = {category["id"] for category in content.get("categories", [])}
    kept, faults, examples = [], Counter(), {}
    for annotation in content.get("annotations", []):
        fault = annotation_fault(annotation, image_ids, category_ids)
        if fault:
            faults[fault] += 1
            examples.setdefault(fault, annotation.get("id"))
        else:
            kept.append(annotation)
    for fault, count in faults.items():
        # Once: a run reads its datasets again for every evaluation and picture.
        message = f"{where}: {count} annotations left out because {fault} (e.g. id {examples[fault]})."
        log_first_n(logging.WARNING, message, key="message")
    return {**content, "annotations": kept}


def labelled_records(content, image_root):
    """Detectron2's dataset dicts of a COCO dictionary without faults; classes count from 0 in the order of their ids."""
    index = {number: position for position, number in enumerate(sorted(category["id"] for category in content["categories"]))}
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
