#!/usr/bin/env python
"""Make an HTML gallery of pseudo-labels: teacher's boxes, masked input, student's prediction; with --truth also what is right.

python tools/view_pseudo_labels.py --config-file configs/toycity.yaml --input FOLDER --output output/gallery.html
    MODEL.WEIGHTS output/toycity/model_final.pth
python tools/view_pseudo_labels.py --config-file configs/toycity.yaml --truth toycity_foggy_all_val --output output/errors.html
    MODEL.WEIGHTS output/toycity/model_final.pth
"""

import argparse
from pathlib import Path

from mic_det.cli.view import command
from mic_det.tooling import run_tool


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config-file", dest="config", required=True)
    images = parser.add_mutually_exclusive_group(required=True)
    images.add_argument("--input", dest="source", metavar="INPUT", help="unlabelled images: folder, COCO JSON or registered dataset")
    images.add_argument("--truth", help="labelled dataset, for diagnosis: right, wrong and missed pseudo boxes")
    parser.add_argument("--output", required=True, type=Path, help="HTML file to write")
    parser.add_argument("--count", type=int, default=24, help="number of images")
    parser.add_argument("overrides", nargs="*", metavar="KEY VALUE", help="MODEL.WEIGHTS and other overrides")
    return command.callback(weights=None, **vars(parser.parse_intermixed_args()))


if __name__ == "__main__":
    run_tool(main)
