"""Render ToyCity, a small synthetic Cityscapes with fog, and write its COCO annotations.

mic-det prepare toycity --root datasets/toycity
"""

import argparse
import os

from mic_det.data.conversion import print_conversions
from mic_det.errors import UserError
from mic_det.toycity.dataset import make_toycity
from mic_det.toycity.writer import DEFAULT_BETAS


def image_size(text: str) -> tuple[int, int]:
    """(width, height) of e.g. 256x128."""
    try:
        width, height = (int(side) for side in text.lower().split("x"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not WIDTHxHEIGHT, e.g. 256x128") from None
    if not (64 <= width <= 2048 and 32 <= height <= 1024):
        raise argparse.ArgumentTypeError(f"'{text}' lies outside 64x32 to 2048x1024")
    return width, height


def main(arguments: list[str] | None = None, prog: str | None = None) -> int:
    """Prepare the dataset as the command line says; returns the exit status."""
    parser = argparse.ArgumentParser(prog, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True, help="folder to write, e.g. datasets/toycity")
    parser.add_argument("--size", type=image_size, default=(256, 128), metavar="WIDTHxHEIGHT")
    parser.add_argument("--train", type=int, default=600, help="training scenes")
    parser.add_argument("--val", type=int, default=100, help="validation scenes")
    parser.add_argument("--betas", type=float, nargs="+", default=DEFAULT_BETAS, help="fog densities per metre")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--masks", action="store_true", help="also write instance masks, for Mask R-CNN")
    args = parser.parse_args(arguments)
    if args.train < 1 or args.val < 1:
        raise UserError("--train and --val must be at least 1.")
    results = make_toycity(args.root, args.train, args.val, args.size, args.betas, args.seed, args.workers, args.masks)
    return print_conversions(results)
