#!/usr/bin/env python
"""Write COCO annotations for Cityscapes or Foggy Cityscapes from gtFine/*/*_gtFine_instanceIds.png.

    python datasets/prepare_cityscapes.py --root datasets/cityscapes                      # clear images
    python datasets/prepare_cityscapes.py --root datasets/cityscapes --foggy 0.02         # one fog level
    python datasets/prepare_cityscapes.py --root datasets/cityscapes --foggy all          # all three

--drop-fragments leaves out every object that has a visible fragment of one or two pixels, as the published converter does.
"""

import argparse

from mic_det.data.cityscapes import FOGGY_BETAS, annotation_file, convert_split
from mic_det.data.conversion import print_conversions
from mic_det.outputs import write_json
from mic_det.tooling import run_tool


def fog_levels(text):
    return FOGGY_BETAS if text == "all" else (float(text),)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True, help="folder that holds gtFine/, leftImg8bit/ and leftImg8bit_foggy/")
    parser.add_argument("--foggy", type=fog_levels, default=(), metavar="BETA", help="0.005, 0.01, 0.02 or all")
    parser.add_argument("--splits", nargs="+", default=("train", "val"))
    parser.add_argument("--drop-fragments", action="store_true")
    parser.add_argument("--masks", action="store_true", help="also write instance masks, for Mask R-CNN")
    args = parser.parse_args()
    results = {}
    for split in args.splits:
        path = annotation_file(args.root, split, args.foggy)
        results[path] = convert_split(args.root, split, args.foggy, args.drop_fragments, args.masks)
        write_json(path, results[path].coco)
    return print_conversions(results)


if __name__ == "__main__":
    run_tool(main)
