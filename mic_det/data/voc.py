"""PASCAL VOC's layout: one XML file per image. VOC, Clipart, Watercolor, Comic and Sim10k come in it."""

import contextlib
import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from mic_det.data.conversion import Conversion, box_fault
from mic_det.data.files import IMAGE_SUFFIXES, find_files
from mic_det.data.images import image_size, named
from mic_det.data.records import Item, Size
from mic_det.errors import UserError

CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog", "horse"),
    *("motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
ART_CLASSES = ("bicycle", "bird", "car", "cat", "dog", "person")  # Watercolor and Comic (Inoue et al., CVPR 2018)
SIM10K_CLASSES = ("car", "person", "motorbike")


def read_names(split_file: str | Path) -> list[str]:
    """Image names of an `ImageSets/Main` list; behind the name a class's lists have 1, 0 or -1, which does not count."""
    try:
        lines = Path(split_file).read_text(encoding="utf-8-sig").splitlines()
    except FileNotFoundError:
        raise UserError(f"Split file {split_file} does not exist.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"Split file {split_file} cannot be read: {error}.") from None
    return [re.sub(r"\s+-?[01]$", "", line.strip()) for line in lines if line.strip()]


def read_size(tree: ET.Element) -> Size | None:
    """(height, width) of a file's `size`, or None where it is missing, zero or no number."""
    try:
        height, width = (int(float(tree.findtext(f"size/{side}", ""))) for side in ("height", "width"))
    except ValueError:
        return None
    return (height, width) if min(height, width) > 0 else None


def read_box(item: ET.Element) -> list[float]:
    """COCO's XYWH of an object, whose corners are inclusive and count from 1.

    Raises:
        ValueError: when it has no box, or none that can be used.
    """
    boxes = item.findall("bndbox")
    if len(boxes) != 1:
        raise ValueError(f"{len(boxes) or 'no'} bndbox")
    try:
        x0, y0, x1, y1 = (float(boxes[0].findtext(corner, "")) for corner in ("xmin", "ymin", "xmax", "ymax"))
    except ValueError:
        raise ValueError("a corner that is missing or no number") from None
    fault = box_fault(x0, y0, x1, y1)
    if fault:
        raise ValueError(fault)
    return [x0 - 1, y0 - 1, x1 - x0 + 1, y1 - y0 + 1]


def read_xml(path: str | Path, classes: Sequence[str]) -> tuple[Size | None, list[Item], list[str]]:
    """((height, width) or None where the file does not say, annotations without ids, reasons why objects are left out).

    Objects of other classes are not meant.

    Raises:
        OSError: when the file is missing.
        xml.etree.ElementTree.ParseError: when it is broken.
    """
    tree = ET.parse(path).getroot()
    objects, left_out = [], []
    for item in tree.iter("object"):
        name = (item.findtext("name") or "").strip()
        if name and name not in classes:
            continue
        try:
            if not name:
                raise ValueError("no name")
            box = read_box(item)
        except ValueError as error:
            left_out.append(str(error))
            continue
        difficult = int((item.findtext("difficult") or "").strip() == "1")
        found = {"category_id": classes.index(name) + 1, "bbox": box, "area": box[2] * box[3]}
        objects.append({**found, "iscrowd": 0, "difficult": difficult})
    return read_size(tree), objects, left_out


def find_classes(annotations: str | Path) -> tuple[str, ...]:
    """All object names in a folder of XML files, sorted; broken files are passed over."""
    names = set()
    for path in find_files(annotations, ".xml"):
        with contextlib.suppress(ET.ParseError):
            names |= {(item.text or "").strip() for item in ET.parse(path).getroot().iterfind("object/name")}
    return tuple(sorted(names - {""}))


def list_images(images: str | Path, split_file: str | Path | None = None) -> list[tuple[str, Path | None]]:
    """[(name, path)] of a split, or of the whole folder; the path is None where the image is missing."""
    found = {str(path.relative_to(images).with_suffix("")): path for path in find_files(images)}
    return [(name, found.get(name)) for name in read_names(split_file)] if split_file else list(found.items())


def convert_voc(
    annotations: str | Path,
    images: str | Path,
    classes: Sequence[str],
    split_file: str | Path | None = None,
    relative_to: str | Path | None = None,
    result: Conversion | None = None,
    description: str = "VOC",
) -> Conversion:
    """Read XML files into a Conversion; missing and unreadable files are listed in it, never fatal.

    Args:
        annotations, images: folders.
        classes: names in the order of the category ids; objects of other classes are left out.
        split_file: list of image names; None takes every image of the folder.
        relative_to: folder that the image names in the result are relative to; default `images`.
        result: Conversion to extend, for a dataset in several folders.

    Raises:
        UserError: when there is no image at all.
    """
    categories = [{"id": index, "name": name} for index, name in enumerate(classes, start=1)]
    result = result or Conversion({"info": {}, "images": [], "annotations": [], "categories": categories})
    if not Path(images).is_dir():
        raise UserError(f"Folder {images} does not exist: it must hold the images.")
    pairs = list_images(images, split_file)
    if not pairs:
        raise UserError(f"Folder {images} holds no images ({', '.join(sorted(IMAGE_SUFFIXES))}).")
    for name, image in tqdm(pairs, desc=description, unit="image", disable=None):
        path = Path(annotations) / f"{name}.xml"
        if image is None:
            result.bad_files.append(str(Path(images) / name))
            continue
        try:
            size, objects, left_out = read_xml(path, classes)
            size = size or image_size(image)
        except (OSError, ET.ParseError, ValueError) as error:
            result.bad_files.append(named(path, error))
            continue
        result.add_image(str(image.relative_to(relative_to or images)), size, objects)
        result.leave_out(left_out, path)
    return result
