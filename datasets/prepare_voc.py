#!/usr/bin/env python
"""Write COCO annotations for PASCAL VOC 2007 + 2012, Clipart1k, Watercolor2k or Comic2k.

python datasets/prepare_voc.py --dataset voc --root datasets/voc
python datasets/prepare_voc.py --dataset clipart --root datasets/clipart
"""

import argparse
from pathlib import Path

from mic_det.data.conversion import print_conversions
from mic_det.data.voc import ART_CLASSES, CLASSES, convert_voc
from mic_det.outputs import write_json
from mic_det.tooling import run_tool

# dataset -> classes, {split to write: [(folder below the root, list in ImageSets/Main)]}
DATASETS = {
    "voc": (CLASSES, {"trainval": [("VOC2007", "trainval"), ("VOC2012", "trainval")]}),
    "clipart": (CLASSES, {"train": [(".", "train")], "test": [(".", "test")], "all": [(".", "train"), (".", "test")]}),
    "watercolor": (ART_CLASSES, {"train": [(".", "train")], "test": [(".", "test")]}),
    "comic": (ART_CLASSES, {"train": [(".", "train")], "test": [(".", "test")]}),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", choices=sorted(DATASETS), required=True)
    parser.add_argument("--root", required=True, type=Path, help="folder that holds VOC2007/ and VOC2012/, or JPEGImages/")
    args = parser.parse_args()
    classes, splits = DATASETS[args.dataset]
    results = {}
    for split, parts in splits.items():
        result = None
        for folder, listed in parts:
            data = args.root / folder
            result = convert_voc(
                *(data / "Annotations", data / "JPEGImages", classes, data / f"ImageSets/Main/{listed}.txt"),
                relative_to=args.root,
                result=result,
                description=f"{args.dataset} {split}",
            )
        path = args.root / f"annotations/instances_{split}.json"
        write_json(path, result.coco)
        results[path] = result
    return print_conversions(results)


if __name__ == "__main__":
    run_tool(main)
