"""Write COCO annotations for Sim10k (VOC layout), at its root or in its folder VOC2012.

mic-det prepare sim10k --root datasets/sim10k
"""

import argparse
from pathlib import Path

from mic_det.data.conversion import print_conversions
from mic_det.data.voc import SIM10K_CLASSES, convert_voc
from mic_det.outputs import write_json


def main(arguments: list[str] | None = None, prog: str | None = None) -> int:
    """Prepare the dataset as the command line says; returns the exit status."""
    parser = argparse.ArgumentParser(prog, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True, type=Path, help="folder that holds JPEGImages/ and Annotations/, or VOC2012/")
    args = parser.parse_args(arguments)
    data = args.root / "VOC2012" if (args.root / "VOC2012").is_dir() else args.root
    path = args.root / "annotations/instances_train.json"
    result = convert_voc(data / "Annotations", data / "JPEGImages", SIM10K_CLASSES, relative_to=args.root, description="Sim10k")
    write_json(path, result.coco)
    return print_conversions({path: result})
