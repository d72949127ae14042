#!/usr/bin/env python
"""Convert checkpoints between mic-det, plain detectron2 and the published MIC code (detection and segmentation).

Torchvision's Faster and Mask R-CNN are read too. Whatever has no counterpart is listed and refused.

python tools/convert_checkpoint.py model_final.pth mic.pth                                  # any layout to mic-det's
python tools/convert_checkpoint.py published.pth mic.pth --teacher-file published_teacher.pth
python tools/convert_checkpoint.py mic.pth plain.pth --teacher --config-file configs/cs2foggy.yaml   # and plain.yaml
python tools/convert_checkpoint.py mic.pth published.pth --student --published
"""

import argparse
from pathlib import Path

from mic_det.checkpoint import conversion, files
from mic_det.engine.setup import open_config
from mic_det.errors import UserError
from mic_det.outputs import write_text
from mic_det.tooling import run_tool


def refuse_existing(path):
    if Path(path).exists():
        raise UserError(f"{path} exists already: choose another name.")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("input", help="checkpoint in any of the three layouts (.pth or .pkl)")
    parser.add_argument("output", help=".pth file to write")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--teacher", action="store_const", const="teacher", dest="model", help="write the teacher alone")
    which.add_argument("--student", action="store_const", const="student", dest="model", help="write the student alone")
    parser.add_argument("--published", action="store_true", help="write the published code's layout")
    parser.add_argument("--teacher-file", help="take the teacher from this second file")
    parser.add_argument("--config-file", help="check the result against this model; with --teacher or --student also write a "
                        "config for detectron2's own tools, for a published detector one with its box arithmetic")  # fmt: skip
    parser.add_argument("--allow-unmatched", action="store_true", help="go on when entries have no counterpart")
    parser.add_argument("overrides", nargs="*", metavar="KEY VALUE", help="config overrides")
    args = parser.parse_intermixed_args()
    config = Path(args.output).with_suffix(".yaml")
    for path in (args.output, *([config] if args.config_file and args.model and not args.published else [])):
        refuse_existing(path)
    if args.published:
        head = open_config(args.config_file, args.overrides).MODEL.SEM_SEG_HEAD.NAME if args.config_file else None
        state = conversion.published_checkpoint(args.input, args.model or "student", args.allow_unmatched, head)
    elif args.model:
        state = conversion.plain_checkpoint(args.input, args.model, args.allow_unmatched)
    else:
        state = conversion.mic_checkpoint(args.input, args.teacher_file, args.allow_unmatched)
    if args.config_file and not args.published:
        cfg = conversion.with_legacy_boxes(open_config(args.config_file, args.overrides), state)
        conversion.check_fit(cfg, state, args.allow_unmatched)
        companion = conversion.stock_config(cfg, args.output) if args.model else conversion.legacy_config(cfg, args.output)
        if companion:
            refuse_existing(config)
            write_text(config, companion.dump())
            print(f"Wrote {config}.")
    elif conversion.has_legacy_boxes(state):
        print("Set MODEL.MIC.REFERENCE.LEGACY_BOXES True with this checkpoint: it brings its own anchors.")
    files.save_tensors(args.output, {"model": state})
    print(f"Wrote {len(state)} entries to {args.output}.")


if __name__ == "__main__":
    run_tool(main)
