#!/usr/bin/env python
"""Evaluate detections in COCO results format, without a model.

python tools/evaluate.py --annotations instances_val.json --detections coco_results.json
python tools/evaluate.py --dataset toycity_val --detections coco_results.json --voc voc07 voc12 --report output/errors.html
"""

import argparse
import sys
from pathlib import Path

from tabulate import tabulate

from mic_det.data.catalog import load_truth
from mic_det.data.classes import category_names
from mic_det.data.coco import drop_faulty, load_detections, load_json
from mic_det.engine.setup import open_config
from mic_det.evaluation import all_metrics
from mic_det.evaluation.coco import DETECTIONS_PER_IMAGE
from mic_det.evaluation.matching import match_all
from mic_det.outputs import refuse_overwrite, refuse_unwritable
from mic_det.reporting import report
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
    parser.add_argument("--most", type=int, default=DETECTIONS_PER_IMAGE, help="detections of an image that count in AP")
    parser.add_argument("--report", type=Path, help="HTML file with precision-recall curves and errors by class, size and score")
    args = parser.parse_args()
    if args.report:
        refuse_overwrite([args.annotations, args.detections, *args.declare], [args.report], "--report")
        refuse_unwritable(args.report.parent, "--report")
    open_config(None, ["DATASETS.DECLARE", args.declare] if args.declare else [])
    content = load_truth(args.dataset) if args.dataset else drop_faulty(load_json(args.annotations), args.annotations)
    detections = load_detections(args.detections)
    ids = sorted(category["id"] for category in content.get("categories", []))
    if args.annotations and ids != list(range(1, len(ids) + 1)):
        print(
            f"Note: {args.annotations} numbers its categories {ids[0]} to {ids[-1]}, with gaps or not from 1; the results of a "
            "run count classes from 1 in their order: evaluate those with --dataset.",
            file=sys.stderr,
        )
    metrics = all_metrics(content, detections, args.voc, args.most)
    names = [name for name in metrics if "/" not in name]
    print(tabulate([[metrics[name] for name in names]], headers=names, floatfmt=".2f", tablefmt="github"))
    kinds = [kind for kind in ("AP", "AP50", "VOC07", "VOC12") if kind in metrics]
    rows = [[name, *(metrics[f"{kind}/{name}"] for kind in kinds)] for name in category_names(content)]
    print("\n" + tabulate(rows, headers=["class", *kinds], floatfmt=".2f", tablefmt="github"))
    if args.report:
        section = report.error_section("Errors", match_all(content, detections))
        report.write_report(args.report, "Evaluation", f"{args.detections} on {args.dataset or args.annotations}", [], [section])
        print(f"\nWrote {args.report}.")


if __name__ == "__main__":
    run_tool(main)
