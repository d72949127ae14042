#!/usr/bin/env python
"""Repeat all methods of a benchmark over several seeds and write a Markdown report.

python tools/study.py --benchmark toycity                       # writes benchmarks/toycity_detection.md
python tools/study.py --benchmark toycity_seg --jobs 2 --methods source_only daformer --report output/daformer.md
python tools/study.py --benchmark toycity_cls --add --seeds 3     # keep the runs in the report's .jsonl, add a seed
python tools/study.py --benchmark all --jobs 2                  # every benchmark whose datasets are prepared
"""

import argparse

from mic_det.cli.study import command
from mic_det.experiments.study import METHODS, REPORTS
from mic_det.tooling import run_tool


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--benchmark", default="toycity", help=f"stem of the configs: {', '.join(REPORTS)}, or all of these")
    parser.add_argument("--methods", nargs="+", choices=METHODS, help="default: all that have a config")
    parser.add_argument("--seeds", type=int, nargs="+", default=(0, 1, 2))
    parser.add_argument("--output", help="folder of the runs (default output/study/BENCHMARK); finished runs are not repeated")
    parser.add_argument("--report", help="Markdown file to write (default: the benchmark's in benchmarks/)")
    parser.add_argument("--add", action="store_true", help="keep the runs in the .jsonl beside the report; train what it lacks")
    parser.add_argument("--jobs", type=int, default=1, help="seeds trained at the same time")
    parser.add_argument("overrides", nargs="*", metavar="KEY VALUE", help="config overrides")
    return command.callback(**vars(parser.parse_intermixed_args()))


if __name__ == "__main__":
    run_tool(main)
