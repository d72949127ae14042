"""Write COCO annotations for Cityscapes or Foggy Cityscapes from gtFine/*/*_gtFine_instanceIds.png.

    mic-det prepare cityscapes --root datasets/cityscapes                      # clear images
    mic-det prepare cityscapes --root datasets/cityscapes --foggy 0.02         # one fog level
    mic-det prepare cityscapes --root datasets/cityscapes --foggy all          # all three

--drop-fragments leaves out every object that has a visible fragment of one or two pixels, as the published converter does.
"""

import argparse

from mic_det.data.cityscapes import FOGGY_BETAS, annotation_file, convert_split
from mic_det.data.conversion import print_conversions
from mic_det.outputs import write_json


def fog_levels(text: str) -> tuple[float, ...]:
    """The levels that --foggy names."""
    return FOGGY_BETAS if text == "all" else (float(text),)


def main(arguments: list[str] | None = None, prog: str | None = None) -> int:
    """Prepare the dataset as the command line says; returns the exit status."""
    parser = argparse.ArgumentParser(prog, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True, help="folder that holds gtFine/, leftImg8bit/ and leftImg8bit_foggy/")
    parser.add_argument("--foggy", type=fog_levels, default=(), metavar="BETA", help="0.005, 0.01, 0.02 or all")
    parser.add_argument("--splits", nargs="+", default=("train", "val"))
    parser.add_argument("--drop-fragments", action="store_true")
    parser.add_argument("--masks", action="store_true", help="also write instance masks, for Mask R-CNN")
    args = parser.parse_args(arguments)
    results = {}
    for split in args.splits:
        path = annotation_file(args.root, split, args.foggy)
        results[path] = convert_split(args.root, split, args.foggy, args.drop_fragments, args.masks)
        write_json(path, results[path].coco)
    return print_conversions(results)
