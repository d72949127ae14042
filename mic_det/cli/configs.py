"""`mic-det configs`."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mic_det import library
from mic_det.cli.common import answer, complete_config, json_option
from mic_det.errors import UserError

if TYPE_CHECKING:
    from mic_det.library import Description

EXAMPLES = """\b
Examples:
  mic-det configs ls
  mic-det configs ls foggy --task detection
  mic-det configs show cs2foggy_mic
  mic-det configs cp cs2foggy_mic my.yaml
"""


@click.group("configs", epilog=EXAMPLES)
def command() -> None:
    """List, show and copy the configs that come with mic-det. Every command that takes --config takes their names."""


@command.command("ls")
@click.argument("words", nargs=-1, metavar="[WORD]...")
@click.option("--task", type=click.Choice(("detection", "segmentation", "classification")), help="Only those of a task.")
@json_option()
def list_configs(words: tuple[str, ...], task: str | None, as_json: bool) -> None:
    """List configs: name, task, method, source and target; with WORDs, those that have all of them in these."""
    found = [about for about in map(library.describe, library.names()) if matches(about, words, task)]
    if as_json:
        answer([entry(about) for about in found])
        return
    if not found:
        raise UserError("No config has that: mic-det configs ls lists all.")
    headers = ("NAME", "TASK", "METHOD", "SOURCE", "TARGET")
    rows = [headers, *(tuple(list(entry(about).values())[: len(headers)]) for about in found)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(headers))]
    for row in rows:
        click.echo("  ".join(value.ljust(width) for value, width in zip(row, widths, strict=True)).rstrip())


@command.command("show")
@click.argument("name", shell_complete=complete_config)
@click.option("--raw", is_flag=True, help="The file as it is, with its comments and its _BASE_.")
@json_option()
def show(name: str, raw: bool, as_json: bool) -> None:
    """Print a config with the content of its _BASE_ merged: all that it sets, of mic-det's and detectron2's keys."""
    path = library.find(name)
    if as_json:
        answer({"name": path.stem, "path": str(path), "config": merged(path)})
    else:
        click.echo(path.read_text(encoding="utf-8") if raw else as_yaml(path), nl=False)


@command.command("cp")
@click.argument("name", shell_complete=complete_config)
@click.argument("file", required=False, type=click.Path(path_type=Path))
def copy(name: str, file: Path | None) -> None:
    """Write a config with the content of its _BASE_ merged to FILE (default NAME.yaml here), for you to edit."""
    path = library.find(name)
    target = file or Path(f"{path.stem}.yaml")
    target = target / path.name if target.is_dir() else target
    if target.exists():
        raise UserError(f"{target} exists already: choose another name.")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(f"# A copy of mic-det's config {path.stem}, complete in itself.\n{as_yaml(path)}", encoding="utf-8")
    click.echo(f"Wrote {target}; train it with: mic-det train --config {target}")


def matches(about: "Description", words: tuple[str, ...], task: str | None) -> bool:
    """Whether a config is of a task and has all words in its name, method, source or target."""
    text = " ".join((about.name, about.method, about.source, about.target)).lower()
    return (task is None or about.task == task) and all(word.lower() in text for word in words)


def entry(about: "Description") -> dict[str, str]:
    """A line of the list."""
    return {
        **{name: getattr(about, name) for name in ("name", "task", "method", "source", "target", "summary")},
        "path": str(about.path),
    }


def merged(path: Path) -> dict[str, Any]:
    """The content of a config over that of its `_BASE_`."""
    from mic_det.config.files import read_config

    return read_config(path)


def as_yaml(path: Path) -> str:
    """`merged`, as YAML."""
    import yaml

    return str(yaml.safe_dump(merged(path), sort_keys=False, default_flow_style=None, width=120))
