"""Write training-class label images and class statistics for SYNTHIA (RAND_CITYSCAPES).

    mic-det prepare synthia-seg --root datasets/synthia

Reads GT/LABELS/*.png (16-bit colour images with the class in the red channel); writes GT/LABELS/*_labelTrainIds.png and the
statistics to the root.
"""

import argparse
from pathlib import Path

from mic_det.data.label_ids import SYNTHIA_IDS
from mic_det.data.label_maps import decode_synthia, prepare_beside


def main(arguments: list[str] | None = None, prog: str | None = None) -> int:
    """Prepare the dataset as the command line says; returns the exit status."""
    parser = argparse.ArgumentParser(prog, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True, type=Path, help="folder that holds RGB/ and GT/LABELS/")
    args = parser.parse_args(arguments)
    return prepare_beside(args.root, "GT/LABELS", decode_synthia, SYNTHIA_IDS, "SYNTHIA labels")
