"""Cityscapes-layout instance maps -> COCO JSON, for Cityscapes, Foggy Cityscapes and ToyCity alike."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from pycocotools import mask as mask_codes
from tqdm import tqdm

from mic_det.data.conversion import Conversion, size_fault
from mic_det.data.records import Item
from mic_det.errors import UserError

# label id -> COCO category id, in the order of the published converter
CLASSES = ("person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle")
CATEGORY_OF_LABEL = {24: 1, 25: 2, 26: 3, 27: 4, 28: 5, 31: 6, 32: 7, 33: 8}
CATEGORIES = [{"id": index, "name": name} for index, name in enumerate(CLASSES, start=1)]
FOGGY_BETAS = (0.005, 0.01, 0.02)


def fog_name(betas: Sequence[float]) -> str | None:
    """The part of file and dataset names that tells the fog apart: None, `0.02` or `all`."""
    return None if not betas else f"{betas[0]:g}" if len(betas) == 1 else "all"


def annotation_file(root: str | Path, split: str, betas: Sequence[float] = ()) -> Path:
    """Where the annotations of a split are written, clear or with such fog."""
    suffix = f"_foggy_{fog_name(betas)}" if betas else ""
    return Path(root) / "annotations" / f"instances_{split}{suffix}.json"


def has_tiny_fragment(mask: np.ndarray) -> bool:
    """True when an external contour of the mask has at most two points, the published converter's reason to drop."""
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return any(len(contour) <= 2 for contour in contours)


def find_objects(instance_ids: np.ndarray, drop_fragments: bool = False, masks: bool = False) -> tuple[list[Item], int]:
    """Return (annotations without ids, number dropped) for one HxW map of 1000 * label id + n; crowds (< 1000) are skipped.

    Boxes are XYWH in pixels and include both border pixels; the area is the number of pixels. With `masks`, the pixels
    themselves are in "segmentation", run-length encoded.
    """
    objects, dropped = [], 0
    for value in np.unique(instance_ids[instance_ids >= 1000]):
        category = CATEGORY_OF_LABEL.get(int(value) // 1000)
        if category is None:
            continue
        rows, columns = np.nonzero(instance_ids == value)
        x0, y0, x1, y1 = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
        if drop_fragments and has_tiny_fragment(instance_ids[y0:y1, x0:x1] == value):
            dropped += 1
            continue
        bbox = [int(x0), int(y0), int(x1 - x0), int(y1 - y0)]
        item = {"category_id": category, "bbox": bbox, "area": len(rows), "iscrowd": 0}
        if masks:
            code = mask_codes.encode(np.asfortranarray(instance_ids == value, dtype=np.uint8))
            counts = code["counts"]
            item["segmentation"] = {"size": code["size"], "counts": counts.decode() if isinstance(counts, bytes) else counts}
        objects.append(item)
    return objects, dropped


def image_names(label_name: str, betas: Sequence[float]) -> list[str]:
    """Image paths below the root for one label file `split/city/name`, clear or once per fog level."""
    if not betas:
        return [f"leftImg8bit/{label_name}_leftImg8bit.png"]
    return [f"leftImg8bit_foggy/{label_name}_leftImg8bit_foggy_beta_{beta:g}.png" for beta in betas]


def convert_split(
    root: str | Path, split: str, betas: Sequence[float] = (), drop_fragments: bool = False, masks: bool = False
) -> Conversion:
    """Convert one split of a Cityscapes-layout `root`.

    Images without objects stay; ids start at 1 because COCO evaluation takes a match to annotation 0 for no match.
    Missing or unreadable files are listed in the result, never fatal. Raises UserError when there is nothing to convert.
    """
    root = Path(root)
    suffix = "_gtFine_instanceIds.png"
    label_files = sorted((root / "gtFine" / split).glob(f"*/*{suffix}"))
    if not label_files:
        raise UserError(
            f"No {root}/gtFine/{split}/*/*{suffix} found: --root must be the folder that holds gtFine/ and leftImg8bit/."
        )
    result = Conversion(
        {"info": {"split": split, "betas": list(betas)}, "images": [], "annotations": [], "categories": CATEGORIES}
    )
    for label_file in tqdm(label_files, desc=f"{split} {fog_name(betas) or 'clear'}", unit="image", disable=None):
        instance_ids = cv2.imread(str(label_file), cv2.IMREAD_UNCHANGED)
        if instance_ids is None or instance_ids.ndim != 2:
            result.bad_files.append(str(label_file))
            continue
        objects, dropped = find_objects(instance_ids, drop_fragments, masks)
        result.leave_out(["a fragment of one or two pixels (--drop-fragments)"] * dropped, label_file)
        label_name = str(label_file.relative_to(root / "gtFine")).removesuffix(suffix)
        for name in image_names(label_name, betas):
            fault = size_fault(root / name, instance_ids.shape)
            if fault:
                result.bad_files.append(fault)
                continue
            result.add_image(name, instance_ids.shape, objects)
    return result
