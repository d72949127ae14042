#!/usr/bin/env python
"""Time one training step and its parts.

    python tools/benchmark.py --config-file configs/toycity_mic.yaml --json benchmarks/toycity_step.json

`floor` is the sum of the network passes timed alone in the same process, `ratio` the whole step divided by it. An untrained
detector has no pseudo boxes, and so no masked pass: give MODEL.WEIGHTS, or MODEL.MIC.PSEUDO_LABELS.THRESHOLD 0.
"""

import argparse
import json
from pathlib import Path

from mic_det.cli.benchmark import measured, show
from mic_det.engine.setup import open_config
from mic_det.outputs import refuse_overwrite, refuse_unwritable, write_text
from mic_det.tooling import run_tool


def image_size(text):
    try:
        height, width = (int(side) for side in text.lower().split("x"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is not HEIGHTxWIDTH, e.g. 800x1600") from None
    return height, width


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config-file", required=True)
    parser.add_argument("--image-size", type=image_size, metavar="HxW", help="shortest and longest side of the network's input")
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--json", help="file to write the figures to; its folder is made")
    parser.add_argument("overrides", nargs="*", metavar="KEY VALUE", help="config overrides")
    args = parser.parse_intermixed_args()
    cfg = open_config(args.config_file, args.overrides)
    if args.json:
        refuse_overwrite([args.config_file, cfg.MODEL.WEIGHTS], [args.json], "--json")
        refuse_unwritable(Path(args.json).parent, "--json")
    result = measured(cfg, args.config_file, args.image_size, args.steps, args.overrides)
    show(result)
    if args.json:
        write_text(args.json, json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    run_tool(main)
