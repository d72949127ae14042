"""KITTI's object detection labels -> COCO JSON (Geiger et al., CVPR 2012)."""

from pathlib import Path

import cv2
from PIL import Image
from tqdm import tqdm

from mic_det.data.conversion import Conversion
from mic_det.errors import UserError

CLASSES = ("Car", "Van", "Truck", "Pedestrian", "Person_sitting", "Cyclist", "Tram", "Misc")
CATEGORIES = [{"id": index, "name": name} for index, name in enumerate(CLASSES, start=1)]


def read_labels(path):
    """Annotations without ids of one label file; DontCare regions are left out.

    A line holds type, truncation, occlusion, angle, then the box's left, top, right, bottom in pixels from 0.
    """
    objects = []
    for line in Path(path).read_text().splitlines():
        words = line.split()
        if not words or words[0] not in CLASSES:
            continue
        x0, y0, x1, y1 = map(float, words[4:8])
        objects.append(
            {
                "category_id": CLASSES.index(words[0]) + 1,
                "bbox": [x0, y0, x1 - x0, y1 - y0],
                "area": (x1 - x0) * (y1 - y0),
                "iscrowd": 0,
            }
        )
    return objects


def convert_kitti(root):
    """Convert `<root>/training/{image_2,label_2}`. Missing or unreadable files are listed in the result, never fatal."""
    root = Path(root)
    images = sorted((root / "training/image_2").glob("*.png"))
    if not images:
        raise UserError(f"No {root}/training/image_2/*.png found: --root must be the folder that holds training/.")
    result = Conversion({"info": {}, "images": [], "annotations": [], "categories": CATEGORIES})
    for image in tqdm(images, desc="KITTI", unit="image", disable=None):
        labels = root / "training/label_2" / f"{image.stem}.txt"
        if not cv2.haveImageReader(str(image)):
            result.bad_files.append(str(image))
            continue
        try:
            objects = read_labels(labels)
        except (OSError, ValueError, IndexError):
            result.bad_files.append(str(labels))
            continue
        with Image.open(image) as opened:
            width, height = opened.size
        result.add_image(str(image.relative_to(root)), (height, width), objects)
    return result
