"""Render ToyCity for classification: its objects as single images, in clear air and in fog.

    mic-det prepare toycity-cls --root datasets

Writes ROOT/toycity_cls/{clear,foggy}/{train,val}/<class>/.
"""

import argparse
import os
from pathlib import Path

import click
from tabulate import tabulate

from mic_det.data.cityscapes import CLASSES
from mic_det.toycity.crops import DOMAINS, SPLITS, write_crops


def main(arguments: list[str] | None = None, prog: str | None = None) -> int:
    """Prepare the dataset as the command line says; returns the exit status."""
    parser = argparse.ArgumentParser(prog, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True, type=Path, help="the datasets' folder")
    parser.add_argument("--train", type=int, default=600, help="training streets of either domain")
    parser.add_argument("--val", type=int, default=150, help="validation streets of either domain")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    args = parser.parse_args(arguments)
    root = args.root / "toycity_cls"
    write_crops(root, {"train": args.train, "val": args.val}, seed=args.seed, workers=args.workers)
    folders = [(domain, split) for domain in DOMAINS for split in SPLITS]
    rows = [[*folder, *(len(list((root.joinpath(*folder) / name).glob("*.png"))) for name in CLASSES)] for folder in folders]
    click.echo(tabulate(rows, headers=["domain", "split", *CLASSES], tablefmt="github"))
    return 0
