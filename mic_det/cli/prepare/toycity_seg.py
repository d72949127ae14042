"""Render ToyCity for segmentation: labelled synthetic streets, and streets in the real style to adapt to, with 19 classes.

    mic-det prepare toycity-seg --root datasets

Writes ROOT/toycity_synthetic and ROOT/toycity_seg in the Cityscapes layout.
"""

import argparse
import os
from pathlib import Path

from mic_det.data.label_maps import finish
from mic_det.toycity.dataset import make_toycity_segmentation


def main(arguments: list[str] | None = None, prog: str | None = None) -> int:
    """Prepare the dataset as the command line says; returns the exit status."""
    parser = argparse.ArgumentParser(prog, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True, type=Path, help="the datasets' folder")
    parser.add_argument("--train", type=int, default=600, help="training scenes of either style")
    parser.add_argument("--val", type=int, default=100, help="validation scenes in the real style")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    args = parser.parse_args(arguments)
    counts = make_toycity_segmentation(args.root, args.train, args.val, seed=args.seed, workers=args.workers)
    return finish(args.root / "toycity_synthetic", counts, [], statistics=False)
