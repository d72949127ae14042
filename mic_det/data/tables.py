"""Tables that the dataset commands print."""

import sys

from tabulate import tabulate


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
