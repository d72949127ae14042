#!/usr/bin/env python
"""Make an HTML gallery of pseudo-labels: teacher's boxes, masked input, student's prediction; with --truth also what is right.

python tools/view_pseudo_labels.py --config-file configs/toycity.yaml --input FOLDER --output output/gallery.html
    MODEL.WEIGHTS output/toycity/model_final.pth
python tools/view_pseudo_labels.py --config-file configs/toycity.yaml --truth toycity_foggy_all_val --output output/errors.html
    MODEL.WEIGHTS output/toycity/model_final.pth
"""

import argparse
from pathlib import Path

from mic_det.engine.run import load_model
from mic_det.engine.setup import open_config
from mic_det.outputs import refuse_overwrite, refuse_unwritable
from mic_det.tasks import task_of
from mic_det.tooling import run_tool


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config-file", required=True)
    images = parser.add_mutually_exclusive_group(required=True)
    images.add_argument("--input", help="unlabelled images: folder, COCO JSON or registered dataset")
    images.add_argument("--truth", help="labelled dataset, for diagnosis: right, wrong and missed pseudo boxes")
    parser.add_argument("--output", required=True, type=Path, help="HTML file to write")
    parser.add_argument("--count", type=int, default=24, help="number of images")
    parser.add_argument("overrides", nargs="*", metavar="KEY VALUE", help="MODEL.WEIGHTS and other overrides")
    args = parser.parse_intermixed_args()
    cfg = open_config(args.config_file, args.overrides)
    refuse_overwrite([args.config_file, args.input, cfg.MODEL.WEIGHTS], [args.output])
    refuse_unwritable(args.output.parent)
    model = load_model(cfg, cfg.MODEL.WEIGHTS)
    unreadable = task_of(cfg).gallery(cfg, model, args.output, args.input, args.truth, args.count)
    for name in unreadable:
        print(f"unreadable: {name}")
    print(f"Wrote {args.output}.")
    return 1 if unreadable else 0


if __name__ == "__main__":
    run_tool(main)
