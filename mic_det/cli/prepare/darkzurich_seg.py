"""Check the images and validation labels of Dark Zurich.

    mic-det prepare darkzurich-seg --root datasets/dark_zurich

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
    click.echo(f"{len(adverse_images(args.root, 'train'))} unlabelled night images for training")
    counts, bad = check_labels(adverse_pairs(args.root, "val"), description="Dark Zurich val")
    return finish(args.root, counts, bad, statistics=False)
