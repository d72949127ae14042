#!/usr/bin/env python
"""ToyCity from clear weather to fog in about nine minutes on two CPU cores: `make demo`.

Trains source-only and MIC, prints one table and writes report.html and summary.json.
"""

import argparse

from mic_det.engine.demo import ensure_toycity, run_demo
from mic_det.tooling import run_tool
from mic_det.toycity.dataset import make_toycity


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", default="output/demo")
    parser.add_argument("overrides", nargs="*", metavar="KEY VALUE", help="config overrides")
    args = parser.parse_intermixed_args()
    ensure_toycity(make_toycity)
    _, table, page = run_demo(args.output, args.overrides)
    print(f"\n{table}\n\nPictures and curves: {page}")


if __name__ == "__main__":
    run_tool(main)
