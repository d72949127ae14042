#!/usr/bin/env python
"""Render ToyCity for segmentation: labelled synthetic streets, and streets in the real style to adapt to, with 19 classes.

    python datasets/prepare_toycity_seg.py --root datasets

Writes ROOT/toycity_synthetic and ROOT/toycity_seg in the Cityscapes layout.
"""

import argparse
import os
from pathlib import Path

from mic_det.data.label_maps import finish
from mic_det.tooling import run_tool
from mic_det.toycity.dataset import make_toycity_segmentation


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True, type=Path, help="the datasets' folder")
    parser.add_argument("--train", type=int, default=600, help="training scenes of either style")
    parser.add_argument("--val", type=int, default=100, help="validation scenes in the real style")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    args = parser.parse_args()
    counts = make_toycity_segmentation(args.root, args.train, args.val, seed=args.seed, workers=args.workers)
    return finish(args.root / "toycity_synthetic", counts, [], statistics=False)


if __name__ == "__main__":
    run_tool(main)
