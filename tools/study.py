#!/usr/bin/env python
"""Repeat all methods of a benchmark over several seeds and write a Markdown report.

python tools/study.py --benchmark toycity                       # writes benchmarks/toycity_detection.md
python tools/study.py --benchmark toycity_seg --jobs 2 --methods source_only daformer --report output/daformer.md
python tools/study.py --benchmark toycity_cls --add --seeds 3     # keep the runs in the report's .jsonl, add a seed
python tools/study.py --benchmark all --jobs 2                  # every benchmark whose datasets are prepared
"""

import argparse
import logging

from mic_det.errors import UserError
from mic_det.experiments.study import METHODS, REPORTS, is_prepared, methods_of, results_of, run_study
from mic_det.reporting.report import read_lines
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
    args = parser.parse_intermixed_args()
    logging.basicConfig(format="%(message)s")
    if args.benchmark == "all" and (args.methods or args.output or args.report):
        raise UserError("--benchmark all runs all methods and has its own folders and reports.")
    if args.benchmark not in (*REPORTS, "all") and not args.report:
        raise UserError(f"--report is needed for '{args.benchmark}', which is none of {', '.join(REPORTS)}.")
    for benchmark in [stem for stem in REPORTS if is_prepared(stem)] if args.benchmark == "all" else [args.benchmark]:
        methods, output = args.methods or methods_of(benchmark), args.output or f"output/study/{benchmark}"
        report = args.report or REPORTS[benchmark]
        if args.add and not results_of(report).is_file():
            raise UserError(f"--add: there is no {results_of(report)} to add to; without --add everything is trained.")
        known = read_lines(results_of(report)) if args.add else ()
        print(run_study(benchmark, methods, output, args.seeds, report, args.overrides, args.jobs, known))


if __name__ == "__main__":
    run_tool(main)
