#!/usr/bin/env python
"""Repeat all methods of a benchmark over several seeds and write a Markdown report.

python tools/study.py --benchmark toycity --report benchmarks/toycity_detection.md
python tools/study.py --benchmark toycity_seg --jobs 2 --report benchmarks/toycity_segmentation.md
python tools/study.py --benchmark camvid_day2dusk --seeds 1 --report benchmarks/camvid_detection.md
"""

import argparse

from mic_det.engine.study import SUFFIXES, methods_of, run_study
from mic_det.tooling import run_tool


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--benchmark", default="toycity", help="stem of the configs: toycity, toycity_seg, camvid_day2dusk or camvid_seg"
    )
    parser.add_argument("--methods", nargs="+", choices=tuple(SUFFIXES), help="default: all that have a config")
    parser.add_argument("--seeds", type=int, nargs="+", default=(0, 1, 2))
    parser.add_argument("--output", help="folder of the runs (default output/study/BENCHMARK); finished runs are not repeated")
    parser.add_argument("--report", required=True, help="Markdown file to write")
    parser.add_argument("--jobs", type=int, default=1, help="seeds trained at the same time")
    parser.add_argument("overrides", nargs="*", metavar="KEY VALUE", help="config overrides")
    args = parser.parse_intermixed_args()
    output = args.output or f"output/study/{args.benchmark}"
    print(
        run_study(
            args.benchmark, args.methods or methods_of(args.benchmark), output, args.seeds, args.report, args.overrides, args.jobs
        )
    )


if __name__ == "__main__":
    run_tool(main)
