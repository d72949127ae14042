#!/usr/bin/env python
"""Write COCO annotations for Sim10k (VOC layout), at its root or in its folder VOC2012.

python datasets/prepare_sim10k.py --root datasets/sim10k
"""

import argparse
from pathlib import Path

from mic_det.data.conversion import print_conversions
from mic_det.data.voc import SIM10K_CLASSES, convert_voc
from mic_det.outputs import write_json
from mic_det.tooling import run_tool


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True, type=Path, help="folder that holds JPEGImages/ and Annotations/, or VOC2012/")
    args = parser.parse_args()
    data = args.root / "VOC2012" if (args.root / "VOC2012").is_dir() else args.root
    path = args.root / "annotations/instances_train.json"
    result = convert_voc(data / "Annotations", data / "JPEGImages", SIM10K_CLASSES, relative_to=args.root, description="Sim10k")
    write_json(path, result.coco)
    return print_conversions({path: result})


if __name__ == "__main__":
    run_tool(main)
