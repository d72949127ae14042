#!/usr/bin/env python
"""Write training-class label images and class statistics for GTA5.

    python datasets/prepare_gta_seg.py --root datasets/gta

Reads labels/*.png (palette images of label ids); writes labels/*_labelTrainIds.png and the statistics to the root.
"""

import argparse
from pathlib import Path

from mic_det.data.label_ids import GTA_IDS
from mic_det.data.label_maps import decode_indices, prepare_beside
from mic_det.tooling import run_tool


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True, type=Path, help="folder that holds images/ and labels/")
    args = parser.parse_args()
    return prepare_beside(args.root, "labels", decode_indices, GTA_IDS, "GTA5 labels")


if __name__ == "__main__":
    run_tool(main)
