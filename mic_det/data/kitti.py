"""KITTI's object detection labels -> COCO JSON (Geiger et al., CVPR 2012)."""

from pathlib import Path

from tqdm import tqdm

from mic_det.data.conversion import Conversion, box_fault
from mic_det.data.files import find_files
from mic_det.data.images import image_size, named
from mic_det.data.records import Item
from mic_det.errors import UserError

CLASSES = ("Car", "Van", "Truck", "Pedestrian", "Person_sitting", "Cyclist", "Tram", "Misc")
IGNORED = "DontCare"
CATEGORIES = [{"id": index, "name": name} for index, name in enumerate(CLASSES, start=1)]


def read_labels(path: str | Path) -> tuple[list[Item], list[str]]:
    """(annotations without ids, reasons why objects are left out) of one label file; DontCare regions are no objects.

    A line holds type, truncation, occlusion, angle, then the box's left, top, right, bottom in pixels from 0.

    Raises:
        ValueError: for a line without four numbers in these places.
    """
    objects, left_out = [], []
    for line in Path(path).read_text(encoding="utf-8-sig").splitlines():
        words = line.split()
        if not words or words[0] == IGNORED:
            continue
        x0, y0, x1, y1 = map(float, words[4:8])
        fault = f"the unknown type '{words[0]}'" if words[0] not in CLASSES else box_fault(x0, y0, x1, y1)
        if fault:
            left_out.append(fault)
            continue
        objects.append(
            {
                "category_id": CLASSES.index(words[0]) + 1,
                "bbox": [x0, y0, x1 - x0, y1 - y0],
                "area": (x1 - x0) * (y1 - y0),
                "iscrowd": 0,
            }
        )
    return objects, left_out


def convert_kitti(root: str | Path) -> Conversion:
    """Convert `<root>/training/{image_2,label_2}`. Missing or unreadable files are listed in the result, never fatal."""
    root = Path(root)
    images = find_files(root / "training/image_2")
    if not images:
        raise UserError(f"No image in {root}/training/image_2 found: --root must be the folder that holds training/.")
    result = Conversion({"info": {}, "images": [], "annotations": [], "categories": CATEGORIES})
    for image in tqdm(images, desc="KITTI", unit="image", disable=None):
        labels = root / "training/label_2" / f"{image.stem}.txt"
        try:
            size = image_size(image)
        except OSError:
            result.bad_files.append(str(image))
            continue
        try:
            objects, left_out = read_labels(labels)
        except (OSError, ValueError) as error:
            result.bad_files.append(named(labels, error))
            continue
        result.add_image(str(image.relative_to(root)), size, objects)
        result.leave_out(left_out, labels)
    return result
