#!/usr/bin/env python
"""Evaluate detections in COCO results format, without a model.

python tools/evaluate.py --annotations instances_val.json --detections coco_results.json
python tools/evaluate.py --dataset toycity_val --detections coco_results.json --voc voc07 voc12 --report output/errors.html
"""

import argparse
from pathlib import Path

from mic_det.cli.evaluate import MOST, detection_metrics, show
from mic_det.tooling import run_tool


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    truth = parser.add_mutually_exclusive_group(required=True)
    truth.add_argument("--annotations", type=Path, help="COCO JSON with the ground truth")
    truth.add_argument(
        "--dataset", help="registered or declared dataset; right for the results of a run, which count its classes"
    )
    parser.add_argument("--detections", required=True, type=Path, help="COCO results: a JSON list of detections")
    parser.add_argument("--declare", action="append", default=[], metavar="YAML", help="file of datasets to declare first")
    parser.add_argument("--voc", nargs="+", default=(), metavar="METRIC", help="also voc07 or voc12")
    parser.add_argument("--most", type=int, default=MOST, help="detections of an image that count in AP")
    parser.add_argument("--report", type=Path, help="HTML file with precision-recall curves and errors by class, size and score")
    args = parser.parse_args()
    show(*detection_metrics(**vars(args)))
    if args.report:
        print(f"\nWrote {args.report}.")


if __name__ == "__main__":
    run_tool(main)
