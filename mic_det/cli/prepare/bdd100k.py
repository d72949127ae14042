"""Write COCO annotations for BDD100K, by day (default) or another time.

mic-det prepare bdd100k --root datasets/bdd100k
"""

import argparse
from pathlib import Path

from mic_det.data.bdd100k import convert_bdd100k
from mic_det.data.conversion import print_conversions
from mic_det.outputs import write_json

TIMES = {"day": "daytime", "night": "night", "dusk": "dawn/dusk", "all": None}


def main(arguments: list[str] | None = None, prog: str | None = None) -> int:
    """Prepare the dataset as the command line says; returns the exit status."""
    parser = argparse.ArgumentParser(prog, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True, type=Path, help="folder that holds images/100k and labels/")
    parser.add_argument("--time", choices=sorted(TIMES), default="day", help="part of BDD's attribute timeofday")
    parser.add_argument("--splits", nargs="+", default=("train", "val"))
    args = parser.parse_args(arguments)
    results = {}
    for split in args.splits:
        path = args.root / f"annotations/instances_{args.time}_{split}.json"
        results[path] = convert_bdd100k(args.root, split, TIMES[args.time])
        write_json(path, results[path].coco)
    return print_conversions(results)
