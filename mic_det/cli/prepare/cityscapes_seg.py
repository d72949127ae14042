"""Write training-class label images and class statistics for Cityscapes.

    mic-det prepare cityscapes-seg --root datasets/cityscapes

Reads gtFine/{train,val}/*/*_gtFine_labelIds.png; writes *_gtFine_labelTrainIds.png beside them and the training split's
statistics to the root.
"""

import argparse
from pathlib import Path

from mic_det.data.label_ids import CITYSCAPES_IDS, train_id_table
from mic_det.data.label_images import find_images
from mic_det.data.label_maps import convert_labels, decode_indices, finish


def train_ids(path: Path) -> Path:
    """Where the training classes of a file of label ids go."""
    return path.with_name(path.name.replace("_labelIds.png", "_labelTrainIds.png"))


def main(arguments: list[str] | None = None, prog: str | None = None) -> int:
    """Prepare the dataset as the command line says; returns the exit status."""
    parser = argparse.ArgumentParser(prog, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True, type=Path, help="folder that holds gtFine/ and leftImg8bit/")
    parser.add_argument("--splits", nargs="+", default=("train", "val"))
    args = parser.parse_args(arguments)
    status = 0
    for split in args.splits:
        cure = " --root must be the folder that holds gtFine/ and leftImg8bit/."
        files = find_images(args.root / "gtFine" / split, "_gtFine_labelIds.png", cure)
        counts, bad = convert_labels(files, train_ids, decode_indices, train_id_table(CITYSCAPES_IDS), f"Cityscapes {split}")
        status |= finish(args.root, counts, bad, statistics=split == "train")
    return status
