#!/usr/bin/env python
"""ToyCity adapted: `make demo` (detection, clear to fog) or `make demo-seg` (segmentation, synthetic to real).

Trains source-only and MIC, prints one table and writes report.html and summary.json.
"""

import argparse

from mic_det.cli.demo import command
from mic_det.tooling import run_tool


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", choices=("detection", "segmentation"), default="detection")
    parser.add_argument("--output", help="default: output/demo or output/demo_seg")
    parser.add_argument("overrides", nargs="*", metavar="KEY VALUE", help="config overrides")
    return command.callback(**vars(parser.parse_intermixed_args()))


if __name__ == "__main__":
    run_tool(main)
