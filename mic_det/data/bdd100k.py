"""BDD100K's detection labels -> COCO JSON (Yu et al., CVPR 2020), all of them or one time of day."""

import json
from pathlib import Path

from tqdm import tqdm

from mic_det.data.conversion import Conversion
from mic_det.errors import UserError

# Cityscapes' names and order without train, which the field leaves out; BDD's names changed between its releases.
CLASSES = ("person", "rider", "car", "truck", "bus", "motorcycle", "bicycle")
NAMES = {"pedestrian": "person", "motor": "motorcycle", "bike": "bicycle", **{name: name for name in CLASSES}}
CATEGORIES = [{"id": index, "name": name} for index, name in enumerate(CLASSES, start=1)]
SIZE = (720, 1280)  # height, width of every image
LABEL_FILES = ("labels/det_20/det_{split}.json", "labels/bdd100k_labels_images_{split}.json")


def find_labels(root, split):
    """The label file of either release. Raises UserError naming both places."""
    paths = [Path(root) / name.format(split=split) for name in LABEL_FILES]
    found = next((path for path in paths if path.is_file()), None)
    if found is None:
        raise UserError(f"Neither {paths[0]} nor {paths[1]} exists: --root must be the folder that holds images/ and labels/.")
    return found


def read_objects(labels):
    """Annotations without ids of one image's "labels" list."""
    objects = []
    for label in labels or ():
        name, box = NAMES.get(label.get("category")), label.get("box2d")
        if name and box:
            x, y, width, height = box["x1"], box["y1"], box["x2"] - box["x1"], box["y2"] - box["y1"]
            item = {"category_id": CLASSES.index(name) + 1, "bbox": [x, y, width, height]}
            objects.append({**item, "area": width * height, "iscrowd": 0})
    return objects


def convert_bdd100k(root, split, time_of_day="daytime"):
    """Convert one split; `time_of_day` is BDD's attribute, None takes all. Missing images are listed in the result."""
    path = find_labels(root, split)
    try:
        frames = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise UserError(f"{path} is not valid JSON: {error}.") from None
    result = Conversion({"info": {"split": split}, "images": [], "annotations": [], "categories": CATEGORIES})
    for frame in tqdm(frames, desc=split, unit="image", disable=None):
        if time_of_day and frame.get("attributes", {}).get("timeofday") != time_of_day:
            continue
        name = f"images/100k/{split}/{frame['name']}"
        if not (Path(root) / name).is_file():
            result.bad_files.append(str(Path(root) / name))
            continue
        result.add_image(name, SIZE, read_objects(frame.get("labels")))
    if not result.coco["images"]:
        raise UserError(f"{path} has no {time_of_day or ''} image that exists below {root}/images/100k/{split}.")
    return result
