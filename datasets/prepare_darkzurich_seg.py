#!/usr/bin/env python
"""Check the images and validation labels of Dark Zurich.

    python datasets/prepare_darkzurich_seg.py --root datasets/dark_zurich

Its labels are training classes already (*_gt_labelTrainIds.png): nothing is converted.
"""

import argparse
from pathlib import Path

from mic_det.data.label_maps import check_labels, finish
from mic_det.data.segmentation_builtin import adverse_images, adverse_pairs
from mic_det.tooling import run_tool


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True, type=Path, help="folder that holds rgb_anon/ and gt/")
    args = parser.parse_args()
    print(f"{len(adverse_images(args.root, 'train'))} unlabelled night images for training")
    return finish(args.root, *check_labels(adverse_pairs(args.root, "val"), description="Dark Zurich val"), statistics=False)


if __name__ == "__main__":
    run_tool(main)
