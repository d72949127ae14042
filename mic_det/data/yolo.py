"""YOLO's layout: one text file per image, `class x y width height` as shares of the image, x and y being the centre."""

import math
from collections.abc import Sequence
from pathlib import Path

from mic_det.data.coco import read_folder
from mic_det.data.conversion import Conversion
from mic_det.data.images import image_size, named
from mic_det.data.records import Item
from mic_det.errors import UserError

SLACK = 0.01  # share of the image by which rounded numbers may leave it


def read_line(line: str, count: int) -> tuple[int, tuple[float, float, float, float]]:
    """(class, (x0, y0, x1, y1) as shares of the image) of one line.

    Five numbers are a class and a box, six a box with its confidence, seven or more a class and the corners of a polygon, whose
    extent is the box.

    Raises:
        ValueError: for anything else.
    """
    kind, *numbers = map(float, line.split())
    if not kind.is_integer() or not 0 <= kind < count:
        raise ValueError(f"class {kind:g} of {count}")
    if len(numbers) in (4, 5):
        x, y, width, height = numbers[:4]
        if width < 0 or height < 0:
            raise ValueError(f"a negative size in '{line}'")
        corners = x - width / 2, y - height / 2, x + width / 2, y + height / 2
    elif len(numbers) >= 6 and len(numbers) % 2 == 0:
        corners = min(numbers[::2]), min(numbers[1::2]), max(numbers[::2]), max(numbers[1::2])
    else:
        raise ValueError(f"{1 + len(numbers)} numbers in '{line}', where a box has 5 and a polygon an odd count from 7 on")
    if not all(-SLACK <= number <= 1 + SLACK for number in numbers):
        raise ValueError(f"numbers beyond 0 to 1 in '{line}': they must be shares of the image, not pixels")
    return int(kind), corners


def read_labels(path: Path, width: int, height: int, count: int) -> tuple[list[Item], list[str]]:
    """(annotations without ids, reasons why objects are left out) of one file; a missing file is an image without objects.

    Raises:
        ValueError: for a line that is neither a box nor a polygon of a class below `count`.
    """
    objects, left_out = [], []
    # utf-8-sig: some editors begin a file with a byte order mark.
    lines = path.read_text(encoding="utf-8-sig").splitlines() if path.is_file() else ()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            kind, (x0, y0, x1, y1) = read_line(line.strip(), count)
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from None
        if math.isclose(x0, x1, abs_tol=1e-9) or math.isclose(y0, y1, abs_tol=1e-9):
            left_out.append("a box without area")
            continue
        bbox = [x0 * width, y0 * height, (x1 - x0) * width, (y1 - y0) * height]
        objects.append({"category_id": kind + 1, "bbox": bbox, "area": bbox[2] * bbox[3], "iscrowd": 0})
    return objects, left_out


def convert_yolo(images: str | Path, labels: str | Path, classes: Sequence[str]) -> Conversion:
    """Read a folder of images and one of labels, of the same tree, into a Conversion.

    Args:
        classes: names in the order of the files' class numbers.

    Raises:
        UserError: when no image has a label file.
    """
    categories = [{"id": index, "name": name} for index, name in enumerate(classes, start=1)]
    result = Conversion({"info": {}, "images": [], "annotations": [], "categories": categories})
    records, found = read_folder(images), 0
    for record in records:
        name = Path(record["file_name"]).relative_to(images)
        label_file = (Path(labels) / name).with_suffix(".txt")
        found += label_file.is_file()
        try:
            height, width = image_size(record["file_name"])
        except OSError:
            result.bad_files.append(record["file_name"])
            continue
        try:
            objects, left_out = read_labels(label_file, width, height, len(classes))
        except (OSError, ValueError) as error:
            result.bad_files.append(named(label_file, error))
            continue
        result.add_image(str(name), (height, width), objects)
        result.leave_out(left_out, label_file)
    if not found:
        raise UserError(f"None of the {len(records)} images in {images} has a label file: {label_file}, for one, does not exist.")
    return result
