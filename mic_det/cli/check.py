"""`mic-det check`."""

from collections import Counter
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mic_det.cli.common import (
    TRAILING,
    answer,
    config_option,
    json_option,
    overrides_argument,
    path_option,
    stdout_for_answer,
)
from mic_det.errors import UserError

if TYPE_CHECKING:
    from mic_det.data.check import DatasetCheck

EXAMPLES = """\b
Examples:
  mic-det check --dataset cityscapes_train --dataset cityscapes_foggy_0.02_train
  mic-det check --config cs2foggy                        # all datasets of a config, declared ones included
  mic-det check --dataset night/ --decode --json
"""


@click.command("check", epilog=EXAMPLES, context_settings=TRAILING)
@click.option(
    "--dataset", "names", multiple=True, metavar="NAME", help="Registered name, folder or COCO JSON; as often as needed."
)
@config_option(required=False, words="Also check DATASETS.TRAIN, TARGET and TEST of this config file or name.")
@click.option("--declare", multiple=True, metavar="YAML", help="File of datasets to declare first; as often as needed.")
@click.option("--decode", is_flag=True, help="Decode every image, not only its header.")
@path_option("--output", words="Folder of the contact sheets.", default=Path("output/check"))
@json_option()
@overrides_argument()
def command(
    names: tuple[str, ...],
    config: str | None,
    declare: tuple[str, ...],
    decode: bool,
    output: Path,
    as_json: bool,
    overrides: tuple[str, ...],
) -> int:
    """Look at datasets before training: classes, sizes, files, boxes and a picture. Exit status 1 when training would fail."""
    from mic_det.api.runs import check_training
    from mic_det.data.check import check_names
    from mic_det.engine.setup import open_config

    if not names and not config:
        raise UserError("Nothing to check: give names of datasets, or --config.")
    with stdout_for_answer(as_json):
        cfg = open_config(config, [*(["DATASETS.DECLARE", list(declare)] if declare else []), *overrides])
        notes: list[str] = []
        checks, failures = check_names(names, decode, cfg, partial(check_training, cfg, notes) if config else None)
        sheets = write_sheets(checks, output, cfg.INPUT.RANGE)
    if as_json:
        found = [{**summary(check), "pictures": str(sheet)} for check, sheet in zip(checks, sheets, strict=True)]
        answer({"datasets": found, "failures": failures, "notes": notes})
        return 1 if failures else 0
    for check, sheet in zip(checks, sheets, strict=True):
        show(check)
        click.echo(f"  pictures: {sheet}")
    for note in notes:
        click.echo(f"\nNote: {note}")
    for failure in failures:
        click.echo(f"\nTraining would fail: {failure}")
    return 1 if failures else 0


def write_sheets(checks: list["DatasetCheck"], folder: Path, value_range: Any) -> list[Path]:
    """Write a contact sheet for each dataset; returns the files.

    Args:
        value_range: INPUT.RANGE of the config.
    """
    from mic_det.outputs import refuse_overwrite, write_image
    from mic_det.reporting.contact_sheet import contact_sheet

    sheets = [folder / name for name in sheet_names([check.name for check in checks])]
    refuse_overwrite((record["file_name"] for check in checks for record in check.records), sheets)
    for check, sheet in zip(checks, sheets, strict=True):
        write_image(sheet, contact_sheet(check, value_range=value_range)[..., ::-1])
    return sheets


def sheet_names(names: list[str]) -> list[str]:
    """A file name for each dataset: its own name, or its whole path where several have the same last part."""
    count = Counter(Path(name).name.casefold() for name in names)
    parts = [[Path(name).name] if count[Path(name).name.casefold()] == 1 else Path(name).absolute().parts[1:] for name in names]
    return [f"{'_'.join(part)}.png" for part in parts]


def summary(check: "DatasetCheck") -> dict[str, Any]:
    """The findings on one dataset, for a program."""
    return {
        "name": check.name,
        "images": check.images,
        "images_without_objects": check.empty,
        "classes": {name: {column: check.objects[name, column] for column in check.columns} for name in check.classes},
        "faults": {
            kind: {"count": count, "example": str(check.faults.examples[kind])} for kind, count in check.faults.counts.items()
        },
        "bad_files": [{"file": str(file), "reason": str(reason)} for file, reason in check.bad_files],
    }


def show(check: "DatasetCheck") -> None:
    """Print the findings on one dataset."""
    from tabulate import tabulate

    from mic_det.data.check import SIZES

    kind = f"{len(check.classes)} classes" if check.classes else "no labels used"
    click.echo(f"\n{check.name}: {check.images} images, {kind}, {check.empty} without objects, {len(check.bad_files)} bad files")
    if check.classes:
        rows = [[name, *(check.objects[name, column] for column in check.columns)] for name in check.classes]
        headers = ["class", *check.columns]
        if check.columns == tuple(SIZES):
            headers = [*headers, "all"]
            rows = [[*row, sum(check.objects[str(row[0]), column] for column in check.columns)] for row in rows]
        click.echo(tabulate(rows, headers=headers, tablefmt="github"))
    for kind, count in check.faults.counts.items():
        click.echo(f"  {count} x {kind}, e.g. {check.faults.examples[kind]}")
    for file, reason in check.bad_files[:10]:
        click.echo(f"  left out: {file}: {reason}")
