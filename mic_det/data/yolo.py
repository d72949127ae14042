"""YOLO's layout: one text file per image, `class x y width height` as shares of the image, x and y being the centre."""

from pathlib import Path

from PIL import Image, UnidentifiedImageError

from mic_det.data.coco import read_folder
from mic_det.data.conversion import Conversion


def read_labels(path, width, height, count):
    """Annotations without ids of one label file; a missing file is an image without objects.

    Raises:
        ValueError: for a line that is not a class below `count` and four numbers.
    """
    objects = []
    for line in path.read_text().splitlines() if path.is_file() else ():
        if not line.strip():
            continue
        kind, *box = line.split()
        x, y, w, h = map(float, box[:4])
        if not 0 <= int(kind) < count:
            raise ValueError(f"class {kind} of {count}")
        bbox = [(x - w / 2) * width, (y - h / 2) * height, w * width, h * height]
        objects.append({"category_id": int(kind) + 1, "bbox": bbox, "area": bbox[2] * bbox[3], "iscrowd": 0})
    return objects


def convert_yolo(images, labels, classes):
    """Read a folder of images and one of labels, of the same tree, into a Conversion.

    Args:
        classes: names in the order of the files' class numbers.
    """
    categories = [{"id": index, "name": name} for index, name in enumerate(classes, start=1)]
    result = Conversion({"info": {}, "images": [], "annotations": [], "categories": categories})
    for record in read_folder(images):
        name = Path(record["file_name"]).relative_to(images)
        label_file = (Path(labels) / name).with_suffix(".txt")
        try:
            with Image.open(record["file_name"]) as image:
                width, height = image.size
        except (OSError, UnidentifiedImageError):
            result.bad_files.append(record["file_name"])
            continue
        try:
            objects = read_labels(label_file, width, height, len(classes))
        except (ValueError, UnicodeDecodeError):
            result.bad_files.append(str(label_file))
            continue
        result.add_image(str(name), (height, width), objects)
    return result
