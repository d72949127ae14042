"""Label images of the public datasets -> images of training classes beside them, with statistics."""

import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TextIO

import cv2
import numpy as np
from PIL import Image
from tabulate import tabulate
from tqdm import tqdm

from mic_det.data.images import decoding, image_size, named, upright
from mic_det.data.label_ids import CLASSES, train_id_table
from mic_det.data.label_images import find_images
from mic_det.data.records import Pixels
from mic_det.data.statistics import collect, count_pixels, write_statistics
from mic_det.data.stream import READ_ERRORS
from mic_det.errors import UserError
from mic_det.outputs import refuse_overwrite, write_image


def decode_indices(path: str | Path) -> np.ndarray:
    """HxW ids of a grey or palette image (Cityscapes, GTA)."""
    with decoding(path), Image.open(path) as image:
        return np.array(upright(image))


def decode_synthia(path: str | Path) -> np.ndarray:
    """HxW ids of SYNTHIA's 16-bit colour images, whose red channel is the class."""
    image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if image is None or image.ndim != 3:
        raise ValueError(f"{path} is no colour image: SYNTHIA's labels are those in GT/LABELS")
    return image[..., 2]


def convert_labels(
    files: Sequence[Path],
    output_of: Callable[[Path], Path],
    decode: Callable[[Path], np.ndarray],
    table: np.ndarray,
    description: str,
) -> tuple[dict[str, Pixels], list[str]]:
    """Write an image of training classes for every label file.

    Args:
        files: label images.
        output_of: label path -> path to write.
        decode: path -> HxW ids.
        table: 256 training classes by id.

    Returns:
        ({written path: {class: pixels}}, list of "path: reason" for files that could not be used).

    Raises:
        UserError: when a label file would be overwritten, or two would give one file.
    """
    refuse_overwrite(files, map(output_of, files), "--root")
    targets: dict[Path, Path] = {}
    for path in files:
        first = targets.setdefault(output_of(path), path)
        if first != path:
            raise UserError(f"{first} and {path} would both be converted to {output_of(path)}: give them different names.")

    def convert(path: Path) -> Pixels | str:
        try:
            ids = decode(path)
            if ids.ndim != 2 or ids.dtype.kind not in "ui" or ids.min() < 0 or ids.max() > 255:
                raise ValueError("it does not hold one id from 0 to 255 per pixel")
            labels = table[ids]
            write_image(output_of(path), labels)
            return count_pixels(labels)
        except READ_ERRORS as error:
            return named(path, error)

    counts, bad = {}, []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = tqdm(pool.map(convert, files), total=len(files), desc=description, unit="image", disable=None)
        for path, found in zip(files, results, strict=True):
            if isinstance(found, str):
                bad.append(found)
            else:
                counts[str(output_of(path))] = found
    return counts, bad


def beside(path: str | Path) -> Path:
    """`00001.png` -> `00001_labelTrainIds.png` in the same folder."""
    return Path(path).with_name(f"{Path(path).stem}_labelTrainIds.png")


def prepare_beside(root: str | Path, folder: str, decode: Callable[[Path], np.ndarray], ids: Sequence[int], title: str) -> int:
    """Convert every label image in `<root>/<folder>` to one `beside` it, and `finish`."""
    cure = f" --root must be the folder that holds {folder}/."
    found = find_images(Path(root) / folder, ".png", cure)
    files = [path for path in found if not path.name.endswith("_labelTrainIds.png")]
    return finish(root, *convert_labels(files, beside, decode, train_id_table(ids), title))


def finish(
    root: str | Path,
    counts: Mapping[str, Pixels],
    bad: Iterable[str],
    classes: Sequence[str] = CLASSES,
    statistics: bool = True,
    out: TextIO = sys.stdout,
) -> int:
    """Write the statistics files, print pixels per class and every bad file.

    Returns:
        The exit status: 1 when any file could not be used, else 0.
    """
    if statistics and counts:
        write_statistics(root, counts)
    total = sum(sum(found.values()) for found in counts.values()) or 1
    rows = []
    for index, name in enumerate(classes):
        holders = [found[index] for found in counts.values() if index in found]
        rows.append([name, len(holders), 100 * sum(holders) / total])
    out.write(tabulate(rows, headers=["class", "images", "% of pixels"], floatfmt=".3f", tablefmt="github") + "\n")
    out.write(f"{len(counts)} label images\n")
    for line in bad:
        out.write(f"not usable: {line}\n")
    return 1 if bad else 0


def check_labels(
    pairs: Iterable[tuple[Path, Path]], classes: Sequence[str] = CLASSES, description: str = "labels"
) -> tuple[dict[str, Pixels], list[str]]:
    """`collect` over (image, label) pairs that are ready; images must exist and be readable as well."""
    counts, bad = collect([label for _, label in pairs], len(classes), description)
    for image, _ in pairs:
        try:
            image_size(image)
        except OSError as error:
            bad.append(named(image, error))
    return counts, bad
