"""BDD100K's detection labels -> COCO JSON (Yu et al., CVPR 2020), all of them or one time of day."""

from collections.abc import Iterable
from pathlib import Path

from tqdm import tqdm

from mic_det.data.coco import read_json
from mic_det.data.conversion import Conversion, box_fault
from mic_det.data.records import Item
from mic_det.errors import UserError

# Cityscapes' names and order without train, which the field leaves out; BDD's names changed between its releases.
CLASSES = ("person", "rider", "car", "truck", "bus", "motorcycle", "bicycle")
NAMES = {"pedestrian": "person", "motor": "motorcycle", "bike": "bicycle", **{name: name for name in CLASSES}}
CATEGORIES = [{"id": index, "name": name} for index, name in enumerate(CLASSES, start=1)]
SIZE = (720, 1280)  # height, width of every image
LABEL_FILES = ("labels/det_20/det_{split}.json", "labels/bdd100k_labels_images_{split}.json")


def find_labels(root: str | Path, split: str) -> Path:
    """The label file of either release. Raises UserError naming both places."""
    paths = [Path(root) / name.format(split=split) for name in LABEL_FILES]
    found = next((path for path in paths if path.is_file()), None)
    if found is None:
        raise UserError(f"Neither {paths[0]} nor {paths[1]} exists: --root must be the folder that holds images/ and labels/.")
    return found


def read_objects(labels: Iterable[Item] | None) -> tuple[list[Item], list[str]]:
    """(annotations without ids, reasons why objects are left out) of one image's "labels" list."""
    objects, left_out = [], []
    for label in labels or ():
        name, box = NAMES.get(label.get("category", "")), label.get("box2d")
        if not name or not box:
            continue  # lanes and drivable areas
        try:
            x0, y0, x1, y1 = (float(box[corner]) for corner in ("x1", "y1", "x2", "y2"))
            fault = box_fault(x0, y0, x1, y1)
        except (KeyError, TypeError, ValueError):
            fault = "a box2d without the four numbers x1, y1, x2 and y2"
        if fault:
            left_out.append(fault)
            continue
        item = {"category_id": CLASSES.index(name) + 1, "bbox": [x0, y0, x1 - x0, y1 - y0]}
        objects.append({**item, "area": (x1 - x0) * (y1 - y0), "iscrowd": 0})
    return objects, left_out


def convert_bdd100k(root: str | Path, split: str, time_of_day: str | None = "daytime") -> Conversion:
    """Convert one split; `time_of_day` is BDD's attribute, None takes all. Missing images are listed in the result."""
    path = find_labels(root, split)
    frames = read_json(path, "Label file")
    if not isinstance(frames, list) or not all(isinstance(frame, dict) and frame.get("name") for frame in frames):
        raise UserError(f"Label file {path} must hold a list of images, each with a name.")
    result = Conversion({"info": {"split": split}, "images": [], "annotations": [], "categories": CATEGORIES})
    for frame in tqdm(frames, desc=split, unit="image", disable=None):
        if time_of_day and (frame.get("attributes") or {}).get("timeofday") != time_of_day:
            continue
        name = f"images/100k/{split}/{frame['name']}"
        if not (Path(root) / name).is_file():
            result.bad_files.append(str(Path(root) / name))
            continue
        objects, left_out = read_objects(frame.get("labels"))
        result.add_image(name, SIZE, objects)
        result.leave_out(left_out, frame["name"])
    if not result.coco["images"]:
        raise UserError(f"{path} has no {time_of_day or ''} image that exists below {root}/images/100k/{split}.")
    return result
