#!/usr/bin/env python
"""Write COCO annotations for KITTI's object detection training images.

python datasets/prepare_kitti.py --root datasets/kitti
"""

import argparse
from pathlib import Path

from mic_det.data.conversion import print_conversions
from mic_det.data.kitti import convert_kitti
from mic_det.outputs import write_json
from mic_det.tooling import run_tool


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True, type=Path, help="folder that holds training/image_2 and training/label_2")
    args = parser.parse_args()
    path = args.root / "annotations/instances_train.json"
    result = convert_kitti(args.root)
    write_json(path, result.coco)
    return print_conversions({path: result})


if __name__ == "__main__":
    run_tool(main)
