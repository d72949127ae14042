#!/usr/bin/env python
"""Write COCO annotations for BDD100K, by day (default) or another time.

python datasets/prepare_bdd100k.py --root datasets/bdd100k
"""

import argparse
from pathlib import Path

from mic_det.data.bdd100k import convert_bdd100k
from mic_det.data.conversion import print_conversions
from mic_det.outputs import write_json
from mic_det.tooling import run_tool

TIMES = {"day": "daytime", "night": "night", "dusk": "dawn/dusk", "all": None}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True, type=Path, help="folder that holds images/100k and labels/")
    parser.add_argument("--time", choices=sorted(TIMES), default="day", help="part of BDD's attribute timeofday")
    parser.add_argument("--splits", nargs="+", default=("train", "val"))
    args = parser.parse_args()
    results = {}
    for split in args.splits:
        path = args.root / f"annotations/instances_{args.time}_{split}.json"
        results[path] = convert_bdd100k(args.root, split, TIMES[args.time])
        write_json(path, results[path].coco)
    return print_conversions(results)


if __name__ == "__main__":
    run_tool(main)
