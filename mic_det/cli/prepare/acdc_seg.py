"""Check the labels and images of ACDC and write class statistics of labelled training images.

    mic-det prepare acdc-seg --root datasets/acdc

Its labels are training classes already (*_gt_labelTrainIds.png): nothing is converted.
"""

import argparse
from pathlib import Path

import click

from mic_det.data.label_maps import check_labels, finish
from mic_det.data.segmentation_builtin import adverse_images, adverse_pairs


def main(arguments: list[str] | None = None, prog: str | None = None) -> int:
    """Prepare the dataset as the command line says; returns the exit status."""
    parser = argparse.ArgumentParser(prog, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True, type=Path, help="folder that holds rgb_anon/ and gt/")
    args = parser.parse_args(arguments)
    status = 0
    for split in ("train", "val"):
        counts, bad = check_labels(adverse_pairs(args.root, split), description=f"ACDC {split}")
        status |= finish(args.root, counts, bad, statistics=split == "train")
    click.echo(f"{len(adverse_images(args.root, 'test'))} test images")
    return status
