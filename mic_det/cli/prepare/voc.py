"""Write COCO annotations for PASCAL VOC 2007 + 2012, Clipart1k, Watercolor2k or Comic2k.

mic-det prepare voc --dataset voc --root datasets/voc
mic-det prepare voc --dataset clipart --root datasets/clipart
"""

import argparse
from pathlib import Path

from mic_det.data.conversion import print_conversions
from mic_det.data.voc import ART_CLASSES, CLASSES, convert_voc
from mic_det.outputs import write_json

# dataset -> classes, {split to write: [(folder below the root, list in ImageSets/Main)]}
DATASETS = {
    "voc": (CLASSES, {"trainval": [("VOC2007", "trainval"), ("VOC2012", "trainval")]}),
    "clipart": (CLASSES, {"train": [(".", "train")], "test": [(".", "test")], "all": [(".", "train"), (".", "test")]}),
    "watercolor": (ART_CLASSES, {"train": [(".", "train")], "test": [(".", "test")]}),
    "comic": (ART_CLASSES, {"train": [(".", "train")], "test": [(".", "test")]}),
}


def main(arguments: list[str] | None = None, prog: str | None = None) -> int:
    """Prepare the dataset as the command line says; returns the exit status."""
    parser = argparse.ArgumentParser(prog, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", choices=sorted(DATASETS), required=True)
    parser.add_argument("--root", required=True, type=Path, help="folder that holds VOC2007/ and VOC2012/, or JPEGImages/")
    args = parser.parse_args(arguments)
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
        if result is not None:
            write_json(path, result.coco)
            results[path] = result
    return print_conversions(results)
