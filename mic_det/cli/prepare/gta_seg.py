"""Write training-class label images and class statistics for GTA5.

    mic-det prepare gta-seg --root datasets/gta

Reads labels/*.png (palette images of label ids); writes labels/*_labelTrainIds.png and the statistics to the root.
"""

import argparse
from pathlib import Path

from mic_det.data.label_ids import GTA_IDS
from mic_det.data.label_maps import decode_indices, prepare_beside


def main(arguments: list[str] | None = None, prog: str | None = None) -> int:
    """Prepare the dataset as the command line says; returns the exit status."""
    parser = argparse.ArgumentParser(prog, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True, type=Path, help="folder that holds images/ and labels/")
    args = parser.parse_args(arguments)
    return prepare_beside(args.root, "labels", decode_indices, GTA_IDS, "GTA5 labels")
