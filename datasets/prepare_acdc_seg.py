#!/usr/bin/env python
"""Check the labels and images of ACDC and write class statistics of labelled training images.

    python datasets/prepare_acdc_seg.py --root datasets/acdc

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
    status = 0
    for split in ("train", "val"):
        counts, bad = check_labels(adverse_pairs(args.root, split), description=f"ACDC {split}")
        status |= finish(args.root, counts, bad, statistics=split == "train")
    print(f"{len(adverse_images(args.root, 'test'))} test images")
    return status


if __name__ == "__main__":
    run_tool(main)
