#!/usr/bin/env python
"""Look at datasets before training: classes, sizes, files, boxes and a picture. Exit status 1 when training would fail.

python tools/check_dataset.py cityscapes_train cityscapes_foggy_0.02_train
python tools/check_dataset.py --config-file configs/cs2foggy.yaml          # all datasets of a config, declared ones included
"""

import argparse
from collections import Counter
from functools import partial
from pathlib import Path

from tabulate import tabulate

from mic_det.data.check import SIZES, check_names, with_classes_of_data
from mic_det.engine.setup import open_config
from mic_det.errors import UserError
from mic_det.outputs import refuse_overwrite, write_image
from mic_det.reporting.contact_sheet import contact_sheet
from mic_det.tasks import task_of
from mic_det.tooling import run_tool


def show(check):
    kind = f"{len(check.classes)} classes" if check.classes else "no labels used"
    print(f"\n{check.name}: {check.images} images, {kind}, {check.empty} without objects, {len(check.bad_files)} bad files")
    if check.classes:
        rows = [[name, *(check.objects[name, column] for column in check.columns)] for name in check.classes]
        headers = ["class", *check.columns]
        if check.columns == tuple(SIZES):
            headers, rows = [*headers, "all"], [[*row, sum(row[1:])] for row in rows]
        print(tabulate(rows, headers=headers, tablefmt="github"))
    for kind, count in check.faults.counts.items():
        print(f"  {count} x {kind}, e.g. {check.faults.examples[kind]}")
    for file, reason in check.bad_files[:10]:
        print(f"  left out: {file}: {reason}")


def sheet_names(names):
    """A file name for each dataset: its own name, or its whole path where several have the same last part."""
    count = Counter(Path(name).name.casefold() for name in names)
    parts = [[Path(name).name] if count[Path(name).name.casefold()] == 1 else Path(name).absolute().parts[1:] for name in names]
    return [f"{'_'.join(part)}.png" for part in parts]


def check_training(cfg):
    """What training checks first."""
    cfg, note = with_classes_of_data(cfg)
    if note:
        print(f"\nNote: {note}")
    task_of(cfg).check_datasets(cfg)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="registered names, folders or COCO JSON files")
    parser.add_argument("--config-file", help="also check DATASETS.TRAIN, TARGET and TEST of this config")
    parser.add_argument("--declare", action="append", default=[], metavar="YAML", help="file of datasets to declare first")
    parser.add_argument("--decode", action="store_true", help="decode every image, not only its header")
    parser.add_argument("--output", type=Path, default=Path("output/check"), help="folder of the contact sheets")
    parser.add_argument("--options", nargs="+", default=[], metavar="KEY VALUE", help="overrides of the config, as in training")
    args = parser.parse_args()
    cfg = open_config(args.config_file, [*(["DATASETS.DECLARE", args.declare] if args.declare else []), *args.options])
    if not args.names and not args.config_file:
        raise UserError("Nothing to check: give dataset names or --config-file.")
    checks, failures = check_names(args.names, args.decode, cfg, partial(check_training, cfg) if args.config_file else None)
    sheets = [args.output / name for name in sheet_names([check.name for check in checks])]
    refuse_overwrite((record["file_name"] for check in checks for record in check.records), sheets)
    for check, sheet in zip(checks, sheets, strict=True):
        show(check)
        write_image(sheet, contact_sheet(check, value_range=cfg.INPUT.RANGE)[..., ::-1])
        print(f"  pictures: {sheet}")
    for failure in failures:
        print(f"\nTraining would fail: {failure}")
    return 1 if failures else 0


if __name__ == "__main__":
    run_tool(main)
