"""What every prepare command makes: a COCO dictionary, counts, and the list of files that could not be used."""

import logging
import sys
from collections import Counter
from dataclasses import dataclass, field

from tabulate import tabulate

logger = logging.getLogger(__name__)


@dataclass
class Conversion:
    """What one split gave: the COCO dictionary, objects per class, and the files that could not be used."""

    coco: dict
    counts: Counter = field(default_factory=Counter)
    dropped: int = 0
    bad_files: list = field(default_factory=list)

    def add_image(self, name, shape, objects):
        """Add an image of (height, width) `shape` with annotations that still lack ids; ids start at 1."""
        images, annotations = self.coco["images"], self.coco["annotations"]
        image_id = len(images) + 1
        images.append({"id": image_id, "file_name": name, "height": shape[0], "width": shape[1]})
        for item in objects:
            annotations.append({"id": len(annotations) + 1, "image_id": image_id, **item})
            self.counts[self.coco["categories"][item["category_id"] - 1]["name"]] += 1


def report_bad_files(result, name):
    """Log how many files a Conversion could not use, and the first of them."""
    if result.bad_files:
        logger.warning("%s: %d files are missing or unreadable, e.g. %s.", name, len(result.bad_files), result.bad_files[0])


def print_conversions(results, out=sys.stdout):
    """Print objects per class for each written annotation file and name every bad file.

    Args:
        results: path of the annotation file -> Conversion.

    Returns:
        The exit status: 1 when any file was missing or unreadable, else 0.
    """
    classes = [category["name"] for category in next(iter(results.values())).coco["categories"]]
    rows = [
        [path.name, len(result.coco["images"]), *(result.counts[name] for name in classes), result.dropped]
        for path, result in results.items()
    ]
    out.write(tabulate(rows, headers=["file", "images", *classes, "dropped"], tablefmt="github") + "\n")
    bad = sorted({name for result in results.values() for name in result.bad_files})
    for name in bad:
        out.write(f"missing or unreadable: {name}\n")
    if bad:
        out.write(f"{len(bad)} files could not be used; everything else was converted.\n")
    return 1 if bad else 0
