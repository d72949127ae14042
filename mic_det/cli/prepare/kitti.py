"""Write COCO annotations for KITTI's object detection training images.

mic-det prepare kitti --root datasets/kitti
"""

import argparse
from pathlib import Path

from mic_det.data.conversion import print_conversions
from mic_det.data.kitti import convert_kitti
from mic_det.outputs import write_json


def main(arguments: list[str] | None = None, prog: str | None = None) -> int:
    """Prepare the dataset as the command line says; returns the exit status."""
    parser = argparse.ArgumentParser(prog, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True, type=Path, help="folder that holds training/image_2 and training/label_2")
    args = parser.parse_args(arguments)
    path = args.root / "annotations/instances_train.json"
    result = convert_kitti(args.root)
    write_json(path, result.coco)
    return print_conversions({path: result})
