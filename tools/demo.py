#!/usr/bin/env python
"""ToyCity adapted: `make demo` (detection, clear to fog) or `make demo-seg` (segmentation, synthetic to real).

Trains source-only and MIC, prints one table and writes report.html and summary.json.
"""

import argparse

from mic_det.experiments.demo import DETECTION, SEGMENTATION, ensure_toycity, run_demo
from mic_det.tooling import run_tool
from mic_det.toycity.dataset import make_toycity, make_toycity_segmentation


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=("detection", "segmentation"), default="detection")
    parser.add_argument("--output", help="default: output/demo or output/demo_seg")
    parser.add_argument("overrides", nargs="*", metavar="KEY VALUE", help="config overrides")
    args = parser.parse_intermixed_args()
    if args.task == "detection":
        demo, output = DETECTION, args.output or "output/demo"
        ensure_toycity(lambda root: make_toycity(root / "toycity"))
    else:
        demo, output = SEGMENTATION, args.output or "output/demo_seg"
        ensure_toycity(make_toycity_segmentation, "toycity_synthetic/sample_class_stats.json")
    _, table, page = run_demo(demo, output, args.overrides)
    print(f"\n{table}\n\nPictures and curves: {page}")


if __name__ == "__main__":
    run_tool(main)
