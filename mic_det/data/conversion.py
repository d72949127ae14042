"""What every prepare command makes: a COCO dictionary, counts, and what could not be used."""

import logging
import math
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from detectron2.utils.logger import log_first_n
from tabulate import tabulate

from mic_det.data.images import image_size
from mic_det.data.records import Content, Item


@dataclass
class Conversion:
    """What one split gave: the COCO dictionary, objects per class, and what could not be used.

    Attributes:
        bad_files: paths, with the reason where there is more to say than that the file is missing or unreadable.
        left_out: objects by the reason why they are not in the dictionary.
        examples: where the first object of each reason is.
    """

    coco: Content
    counts: Counter[str] = field(default_factory=Counter)
    bad_files: list[str] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str | Path] = field(default_factory=dict)

    def add_image(self, name: str, shape: Sequence[int], objects: Iterable[Item]) -> None:
        """Add an image of (height, width) `shape` with annotations that still lack ids; ids start at 1."""
        images, annotations = self.coco["images"], self.coco["annotations"]
        image_id = len(images) + 1
        images.append({"id": image_id, "file_name": name, "height": shape[0], "width": shape[1]})
        for item in objects:
            annotations.append({"id": len(annotations) + 1, "image_id": image_id, **item})
            self.counts[self.coco["categories"][item["category_id"] - 1]["name"]] += 1

    def leave_out(self, reasons: Iterable[str], where: str | Path) -> None:
        """Count objects that are left out, one for each of `reasons`; `where` is the file."""
        for reason in reasons:
            self.left_out[reason] += 1
            self.examples.setdefault(reason, where)

    def losses(self) -> list[str]:
        """One phrase for each reason why objects were left out."""
        return [f"{count} objects left out: {reason}, e.g. in {self.examples[reason]}" for reason, count in self.left_out.items()]


def box_fault(x0: float, y0: float, x1: float, y1: float) -> str | None:
    """Why corners make no box, or None. A VOC box whose corners coincide has no area either: a click, not an object."""
    if not all(math.isfinite(value) for value in (x0, y0, x1, y1)):
        return "a corner that is no finite number"
    return None if x1 > x0 and y1 > y0 else "a box without area"


def size_fault(image: str | Path, shape: Sequence[int]) -> str | None:
    """Why an image cannot go with labels of (height, width) `shape`, or None."""
    try:
        height, width = image_size(image)
    except OSError:
        return str(image)
    if (height, width) == tuple(shape):
        return None
    return f"{image}: {width} x {height} pixels, but its labels have {shape[1]} x {shape[0]}"


def report_bad_files(result: Conversion, name: str) -> None:
    """Log how many files and objects a Conversion could not use, and the first of them; once, as runs read datasets again."""
    if result.bad_files:
        message = f"{name}: {len(result.bad_files)} files are missing or unreadable, e.g. {result.bad_files[0]}."
        log_first_n(logging.WARNING, message, key="message")
    for loss in result.losses():
        log_first_n(logging.WARNING, f"{name}: {loss}.", key="message")


def print_conversions(results: Mapping[Path, Conversion], out: TextIO = sys.stdout) -> int:
    """Print objects per class for each written annotation file, what was left out of it, and every bad file.

    Args:
        results: path of the annotation file -> Conversion.

    Returns:
        The exit status: 1 when any file was missing or unreadable, else 0.
    """
    classes = [category["name"] for category in next(iter(results.values())).coco["categories"]]
    rows = [
        [path.name, len(result.coco["images"]), *(result.counts[name] for name in classes), result.left_out.total()]
        for path, result in results.items()
    ]
    out.write(tabulate(rows, headers=["file", "images", *classes, "left out"], tablefmt="github") + "\n")
    for path, result in results.items():
        out.write("".join(f"{path.name}: {loss}\n" for loss in result.losses()))
    bad = sorted({name for result in results.values() for name in result.bad_files})
    for name in bad:
        out.write(f"missing or unreadable: {name}\n")
    if bad:
        out.write(f"{len(bad)} files could not be used; everything else was converted.\n")
    return 1 if bad else 0
