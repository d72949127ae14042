"""How many pixels of each class every label image holds: what Rare Class Sampling draws from.

The files have the published format (DAFormer), so that either code can read the other's.
"""

import json
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from tqdm import tqdm

from mic_det.data.label_images import IGNORE, read_labels
from mic_det.errors import UserError
from mic_det.outputs import write_json

logger = logging.getLogger(__name__)
COUNTS, BY_CLASS = "sample_class_stats.json", "samples_with_class.json"


def count_pixels(labels):
    """{class index: pixels} of a label image; ignored pixels are left out."""
    counts = np.bincount(labels.ravel(), minlength=IGNORE + 1)[:IGNORE]
    return {int(index): int(counts[index]) for index in np.flatnonzero(counts)}


def collect(label_files, num_classes=None, description="labels"):
    """{path: {class: pixels}} for label images, and the list of files that could not be read."""

    def count(path):
        try:
            return count_pixels(read_labels(path, num_classes))
        except (OSError, ValueError) as error:
            return str(error)

    counts, bad = {}, []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = tqdm(pool.map(count, label_files), total=len(label_files), desc=description, unit="image", disable=None)
        for path, found in zip(label_files, results, strict=True):
            if isinstance(found, str):
                bad.append(f"{path}: {found}")
            else:
                counts[str(path)] = found
    return counts, bad


def write_statistics(root, counts):
    """Write both statistics files to `root`, with paths relative to it.

    Args:
        counts: {label path: {class: pixels}}.

    Raises:
        UserError: when `root` cannot be written to.
    """
    root = Path(root)
    relative = {os.path.relpath(path, root): found for path, found in counts.items()}
    entries = [{**{str(index): number for index, number in found.items()}, "file": path} for path, found in relative.items()]
    by_class = {}
    for path, found in relative.items():
        for index, number in found.items():
            by_class.setdefault(str(index), []).append([path, number])
    try:
        if not root.is_dir():  # it holds the labels: a new one would be a mistake
            raise UserError(f"{root} is no folder.")
        write_json(root / COUNTS, entries)
        write_json(root / BY_CLASS, by_class)
    except UserError as error:
        raise UserError(
            f"The class statistics of Rare Class Sampling cannot be written: {error} Make the folder writable once, or set "
            "DATASETS.RARE_CLASSES.ENABLED False."
        ) from None


def read_statistics(root):
    """{label path as written: {class: pixels}} from `root`.

    Raises:
        UserError: when the file is broken.
    """
    path = Path(root) / COUNTS
    try:
        entries = json.loads(path.read_text())
        return {entry["file"]: {int(index): number for index, number in entry.items() if index != "file"} for entry in entries}
    except (json.JSONDecodeError, KeyError, TypeError, ValueError):
        raise UserError(f"{path} is no list of class counts per file: delete it, and it is made again.") from None


def counts_of(records, root, num_classes):
    """{class: pixels} of every record's label image, from the statistics in `root`, or counted now and written there.

    Raises:
        UserError: when the statistics do not cover the records, or no label image can be read.
    """
    files = [record["sem_seg_file_name"] for record in records]
    if not (Path(root) / COUNTS).is_file():
        logger.info("Counting the classes of %d label images for Rare Class Sampling, once; they go to %s.", len(files), root)
        counts, bad = collect(files, num_classes, "class statistics")
        if not counts:
            raise UserError(f"None of the {len(files)} label images below {root} can be used: {bad[0]}.")
        if bad:
            logger.warning(
                "%d label images cannot be used and will not be drawn, e.g. %s. Once they are mended, delete %s.",
                *(len(bad), bad[0], Path(root) / COUNTS),
            )
        # Those that cannot be used stand there with no pixels: the next run must find every file again.
        counts = {path: counts.get(path, {}) for path in files}
        write_statistics(root, counts)
        return [counts[path] for path in files]
    known = read_statistics(root)
    by_name = {Path(path).name: found for path, found in known.items()}
    # Files of the published code name paths relative to some other folder: there, names alone must tell images apart.
    relative = [os.path.relpath(path, root) for path in files]
    found = [known.get(path) or by_name.get(Path(path).name) for path in relative]
    if None in found:
        missing = files[found.index(None)]
        raise UserError(f"{Path(root) / COUNTS} does not know {missing}: delete the file, and it is made again.")
    return found
