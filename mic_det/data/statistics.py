"""How many pixels of each class every label image holds: what Rare Class Sampling draws from.

The files have the published format (DAFormer), so that either code can read the other's.
"""

import json
import logging
import os
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

import numpy as np
from tqdm import tqdm

from mic_det.data.images import named
from mic_det.data.label_images import IGNORE, read_labels
from mic_det.data.records import Pixels, Record
from mic_det.data.stream import READ_ERRORS
from mic_det.errors import UserError
from mic_det.outputs import write_json

logger = logging.getLogger(__name__)
COUNTS, BY_CLASS = "sample_class_stats.json", "samples_with_class.json"
SPOT_CHECKS = 8


def count_pixels(labels: np.ndarray) -> Pixels:
    """{class index: pixels} of a label image; ignored pixels are left out."""
    counts = np.bincount(labels.ravel(), minlength=IGNORE + 1)[:IGNORE]
    return {int(index): int(counts[index]) for index in np.flatnonzero(counts)}


def count_file(path: str | Path, num_classes: int | None = None) -> Pixels | str:
    """`count_pixels` of a label image, or a sentence on why it cannot be used."""
    try:
        return count_pixels(read_labels(path, num_classes))
    except READ_ERRORS as error:
        return named(path, error)


def collect(
    label_files: Sequence[str | Path], num_classes: int | None = None, description: str = "labels"
) -> tuple[dict[str, Pixels], list[str]]:
    """{path: {class: pixels}} for label images, and the list of files that could not be read."""
    counts, bad = {}, []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        results = pool.map(lambda path: count_file(path, num_classes), label_files)
        progress = tqdm(results, total=len(label_files), desc=description, unit="image", disable=None)
        for path, found in zip(label_files, progress, strict=True):
            if isinstance(found, str):
                bad.append(found)
            else:
                counts[str(path)] = found
    return counts, bad


def write_statistics(root: str | Path, counts: Mapping[str, Pixels], must: bool = True) -> None:
    """Write both statistics files to `root`, with paths relative to it.

    Args:
        counts: {label path: {class: pixels}}.
        must: raise UserError when `root` cannot be written to, instead of a warning.
    """
    root = Path(root)
    relative = {os.path.relpath(path, root): found for path, found in counts.items()}
    entries = [{**{str(index): number for index, number in found.items()}, "file": path} for path, found in relative.items()]
    by_class: dict[str, list[list[object]]] = {}
    for path, found in relative.items():
        for index, number in found.items():
            by_class.setdefault(str(index), []).append([path, number])
    try:
        if not root.is_dir():  # it holds the labels: a new one would be a mistake
            raise UserError(f"{root} is no folder.")
        write_json(root / COUNTS, entries)
        write_json(root / BY_CLASS, by_class)
    except UserError as error:
        message = f"The class statistics of Rare Class Sampling cannot be written: {error}"
        if must:
            raise UserError(f"{message} Make the folder writable once, or set DATASETS.RARE_CLASSES.ENABLED False.") from None
        logger.warning("%s They are counted again in every run until the folder can be written to.", message)


def read_statistics(root: str | Path) -> dict[str, Pixels]:
    """{label path as written: {class: pixels}} from `root`; {} when there is no file.

    Raises:
        UserError: when the file is broken.
    """
    path = Path(root) / COUNTS
    if not path.is_file():
        return {}
    try:
        entries = json.loads(path.read_text())
        return {
            PurePosixPath(entry["file"]).as_posix(): {int(index): number for index, number in entry.items() if index != "file"}
            for entry in entries
        }
    except (OSError, AttributeError, KeyError, TypeError, ValueError, RecursionError):
        raise UserError(f"{path} is no list of class counts per file: delete it, and it is made again.") from None


def match_entries(files: Iterable[str], root: str | Path, known: Collection[str]) -> dict[str, str]:
    """{file: path as written} for the label images that the statistics surely mean.

    Files of the published code name paths relative to some other folder. There, two paths are one when the shorter of the path
    below `root` and the written one ends the other, and no second entry or file fits as well.
    """
    by_name = defaultdict(list)
    for written in known:
        by_name[PurePosixPath(written).name].append(written)
    found = {}
    for file in files:
        relative, parts = os.path.relpath(file, root), Path(os.path.abspath(file)).parts
        depth = len(Path(relative).parts)
        close = [
            written
            for written in by_name[Path(file).name]
            if parts[-depth:][-len(PurePosixPath(written).parts) :] == PurePosixPath(written).parts[-depth:]
        ]
        found[file] = relative if relative in known else close[0] if len(close) == 1 else None
    users = Counter(found.values())
    return {file: written for file, written in found.items() if written is not None and users[written] == 1}


def is_current(file: str, found: Pixels, num_classes: int, written_at: float) -> bool:
    """Whether counts can be those of a label image: whole numbers of known classes, and not older than the file."""
    try:
        fresh = Path(file).stat().st_mtime <= written_at
    except OSError:
        return False
    return fresh and all(type(number) is int and number >= 0 and 0 <= index < num_classes for index, number in found.items())


def counts_of(records: Sequence[Record], root: str | Path, num_classes: int) -> list[Pixels]:
    """{class: pixels} of every record's label image, from the statistics in `root` or counted now and written there.

    Counted are images that the statistics do not know, that changed after they were written, and those with counts that cannot
    be; and all of them when one of SPOT_CHECKS images, evenly spread, holds something else than the statistics say.

    Raises:
        UserError: when the statistics are broken or cannot be written for the first time, or no label image can be read.
    """
    files, path = list(dict.fromkeys(record["sem_seg_file_name"] for record in records)), Path(root) / COUNTS
    known = read_statistics(root)
    written_at = path.stat().st_mtime if known else 0
    matched = match_entries(files, root, known)
    counts = {file: known[entry] for file, entry in matched.items() if is_current(file, known[entry], num_classes, written_at)}
    wrong = wrong_counts(counts, num_classes)
    if wrong:
        counts = {}
    missing = [file for file in files if file not in counts]
    if missing:
        reason = f", because {path} does not say what {wrong[0]} holds" if wrong else ""
        logger.info("Counting the classes of %d of %d label images for %s%s.", len(missing), len(files), path, reason)
        found, bad = collect(missing, num_classes, "class statistics")
        if not counts and not found:
            raise UserError(f"None of the {len(files)} label images below {root} can be used: {bad[0]}.")
        if bad:
            logger.warning("%d label images cannot be used and will not be drawn, e.g. %s.", len(bad), bad[0])
        # Those that cannot be used stand in the statistics with no pixels: the next run must find every file again.
        counts |= {file: found.get(file, {}) for file in missing}
        others = {os.path.join(root, entry): known[entry] for entry in known.keys() - set(matched.values())}
        write_statistics(root, dict(sorted((others | counts).items())), must=not known)
    return [counts[record["sem_seg_file_name"]] for record in records]


def wrong_counts(counts: Mapping[str, Pixels], num_classes: int) -> list[str]:
    """Those of SPOT_CHECKS label images, evenly spread, that do not hold what `counts` says."""
    files = list(counts)
    chosen = [files[index] for index in np.linspace(0, len(files) - 1, min(SPOT_CHECKS, len(files))).astype(int)]
    found = {file: count_file(file, num_classes) for file in chosen}
    return [file for file in chosen if present(counts[file]) != present(found[file])]


def present(found: Pixels | str) -> Pixels:
    """Counts without zeros; none of an image that cannot be used."""
    return {} if isinstance(found, str) else {index: number for index, number in found.items() if number}
