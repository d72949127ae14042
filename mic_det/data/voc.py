"""PASCAL VOC's layout: one XML file per image. VOC, Clipart, Watercolor, Comic and Sim10k come in it."""

import contextlib
import xml.etree.ElementTree as ET
from pathlib import Path

from tqdm import tqdm

from mic_det.data.conversion import Conversion
from mic_det.errors import UserError

CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow", "diningtable", "dog", "horse"),
    *("motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
ART_CLASSES = ("bicycle", "bird", "car", "cat", "dog", "person")  # Watercolor and Comic (Inoue et al., CVPR 2018)
SIM10K_CLASSES = ("car", "person", "motorbike")
SUFFIXES = (".jpg", ".jpeg", ".png", ".JPEG", ".JPG")


def read_names(split_file):
    """Image names of an `ImageSets/Main` list; only the first word of a line counts."""
    try:
        return [line.split()[0] for line in Path(split_file).read_text().splitlines() if line.strip()]
    except FileNotFoundError:
        raise UserError(f"Split file {split_file} does not exist.") from None


def find_image(folder, name):
    """The image of that name with any usual suffix, or None."""
    candidates = (Path(folder) / f"{name}{suffix}" for suffix in SUFFIXES)
    return next((path for path in candidates if path.is_file()), None)


def read_xml(path, classes):
    """((height, width), annotations without ids) of one file; objects of other classes are left out.

    VOC's corners are inclusive and count from 1; the boxes returned are COCO's XYWH.
    """
    tree = ET.parse(path).getroot()
    size = tree.find("size")
    objects = []
    for item in tree.iter("object"):
        name = item.findtext("name", "").strip()
        if name not in classes:
            continue
        x0, y0, x1, y1 = (float(item.findtext(f"bndbox/{corner}")) for corner in ("xmin", "ymin", "xmax", "ymax"))
        box = [x0 - 1, y0 - 1, x1 - x0 + 1, y1 - y0 + 1]
        objects.append(
            {
                "category_id": classes.index(name) + 1,
                "bbox": box,
                "area": box[2] * box[3],
                "iscrowd": 0,
                "difficult": int(item.findtext("difficult", "0")),
            }
        )
    return (int(size.findtext("height")), int(size.findtext("width"))), objects


def find_classes(annotations):
    """All object names in a folder of XML files, sorted; broken files are passed over."""
    names = set()
    for path in Path(annotations).glob("*.xml"):
        with contextlib.suppress(ET.ParseError):
            names |= {(item.text or "").strip() for item in ET.parse(path).getroot().iterfind("object/name")}
    return tuple(sorted(names - {""}))


def list_images(images, split_file=None):
    """[(name, path)] of a split, or of the whole folder; the path is None where the image is missing."""
    names = (
        read_names(split_file) if split_file else sorted(path.stem for path in Path(images).iterdir() if path.suffix in SUFFIXES)
    )
    return [(name, find_image(images, name)) for name in names]


def convert_voc(annotations, images, classes, split_file=None, relative_to=None, result=None, description="VOC"):
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
        raise UserError(f"Folder {images} holds no images ({', '.join(SUFFIXES)}).")
    for name, image in tqdm(pairs, desc=description, unit="image", disable=None):
        path = Path(annotations) / f"{name}.xml"
        try:
            size, objects = read_xml(path, classes)
        except (OSError, ET.ParseError, AttributeError, TypeError, ValueError):
            result.bad_files.append(str(path))
            continue
        if image is None:
            result.bad_files.append(str(Path(images) / name))
            continue
        result.add_image(str(image.relative_to(relative_to or images)), size, objects)
    return result
