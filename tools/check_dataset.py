#!/usr/bin/env python
"""Look at datasets before training: classes, sizes, files, boxes and a picture. Exit status 1 when training would fail.

python tools/check_dataset.py cityscapes_train cityscapes_foggy_0.02_train
python tools/check_dataset.py --config-file configs/cs2foggy.yaml          # all datasets of a config, declared ones included
"""

import argparse
from pathlib import Path

from mic_det.cli.check import command
from mic_det.tooling import run_tool


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="registered names, folders or COCO JSON files")
    parser.add_argument("--config-file", dest="config", help="also check DATASETS.TRAIN, TARGET and TEST of this config")
    parser.add_argument("--declare", action="append", default=[], metavar="YAML", help="file of datasets to declare first")
    parser.add_argument("--decode", action="store_true", help="decode every image, not only its header")
    parser.add_argument("--output", type=Path, default=Path("output/check"), help="folder of the contact sheets")
    parser.add_argument("--options", dest="overrides", nargs="+", default=[], metavar="KEY VALUE", help="overrides of the config, as in training")
    return command.callback(as_json=False, **vars(parser.parse_args()))


if __name__ == "__main__":
    run_tool(main)
