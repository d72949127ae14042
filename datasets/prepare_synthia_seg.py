#!/usr/bin/env python
"""Write training-class label images and class statistics for SYNTHIA (RAND_CITYSCAPES).

    python datasets/prepare_synthia_seg.py --root datasets/synthia

Reads GT/LABELS/*.png (16-bit colour images with the class in the red channel); writes GT/LABELS/*_labelTrainIds.png and the
statistics to the root.
"""

import argparse
from pathlib import Path

from mic_det.data.label_ids import SYNTHIA_IDS
from mic_det.data.label_maps import decode_synthia, prepare_beside
from mic_det.tooling import run_tool


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True, type=Path, help="folder that holds RGB/ and GT/LABELS/")
    args = parser.parse_args()
    return prepare_beside(args.root, "GT/LABELS", decode_synthia, SYNTHIA_IDS, "SYNTHIA labels")


if __name__ == "__main__":
    run_tool(main)
