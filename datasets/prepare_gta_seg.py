#!/usr/bin/env python
"""Write training-class label images and class statistics for GTA5.

    python datasets/prepare_gta_seg.py --root datasets/gta

Reads labels/*.png (palette images of label ids); writes labels/*_labelTrainIds.png and the statistics to the root.
"""

import argparse
from pathlib import Path

from mic_det.data.label_ids import GTA_IDS, train_id_table
from mic_det.data.label_maps import beside, convert_labels, decode_indices, finish
from mic_det.data.semantic import find_images
from mic_det.tooling import run_tool


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True, type=Path, help="folder that holds images/ and labels/")
    args = parser.parse_args()
    found = find_images(args.root / "labels", ".png", " --root must be the folder that holds images/ and labels/.")
    files = [path for path in found if not path.name.endswith("_labelTrainIds.png")]
    return finish(args.root, *convert_labels(files, beside, decode_indices, train_id_table(GTA_IDS), "GTA5 labels"))


if __name__ == "__main__":
    run_tool(main)
