#!/usr/bin/env python
"""Convert checkpoints between mic-det, plain detectron2 and the published MIC code (detection and segmentation).

Torchvision's Faster and Mask R-CNN are read too. Whatever has no counterpart is listed and refused.

python tools/convert_checkpoint.py model_final.pth mic.pth                                  # any layout to mic-det's
python tools/convert_checkpoint.py published.pth mic.pth --teacher-file published_teacher.pth
python tools/convert_checkpoint.py mic.pth plain.pth --teacher --config-file configs/cs2foggy.yaml   # and plain.yaml
python tools/convert_checkpoint.py mic.pth published.pth --student --published
"""

import argparse

from mic_det.cli.convert import command
from mic_det.tooling import run_tool


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("input", help="checkpoint in any of the three layouts (.pth or .pkl)")
    parser.add_argument("output", help=".pth file to write")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--teacher", action="store_const", const="teacher", dest="model", help="write the teacher alone")
    which.add_argument("--student", action="store_const", const="student", dest="model", help="write the student alone")
    parser.add_argument("--published", action="store_true", help="write the published code's layout")
    parser.add_argument("--teacher-file", help="take the teacher from this second file")
    parser.add_argument("--config-file", dest="config",
                        help="check the result against this model; with --teacher or --student also write a "
                        "config for detectron2's own tools, for a published detector one with its box arithmetic")  # fmt: skip
    parser.add_argument("--allow-unmatched", action="store_true", help="go on when entries have no counterpart")
    parser.add_argument("overrides", nargs="*", metavar="KEY VALUE", help="config overrides")
    return command.callback(**vars(parser.parse_intermixed_args()))


if __name__ == "__main__":
    run_tool(main)
