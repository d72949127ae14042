"""Several runs in one report: their last results, what differs per class and in the settings, and curves over each other."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mic_det.errors import UserError
from mic_det.evaluation.metrics import names_in
from mic_det.reporting import report
from mic_det.reporting.headline import delta, reference_of, signed
from mic_det.reporting.report import Section
from mic_det.reporting.run_report import read_results

# What differs between any two runs and changes no number.
PLACES = ("OUTPUT_DIR", "VERSION")
ABSENT = "-"


@dataclass(frozen=True)
class Run:
    """What a run left in its folder.

    Attributes:
        name: to show, unlike every other run's.
        folder: OUTPUT_DIR.
        settings: {key: value} of its config.yaml, keys with dots.
        results: of its last evaluation, as in `write_report`.
    """

    name: str
    folder: Path
    settings: dict[str, Any]
    results: list[dict]


def read_runs(folders: Sequence[str | Path]) -> list[Run]:
    """The runs in at least two folders, in this order.

    Raises:
        UserError: when one is given twice, is no evaluated run, or is of another task than the first.
    """
    paths = [Path(folder).resolve() for folder in folders]
    if len(paths) < 2:
        raise UserError("A comparison needs at least two runs: name their output folders.")
    if len(set(paths)) < len(paths):
        raise UserError("A run is named twice: name every output folder once.")
    runs = [read_run(path, name) for path, name in zip(paths, distinct(paths), strict=True)]
    tasks = [names_in(run.results[0]) for run in runs]
    for run, task in zip(runs, tasks, strict=True):
        if task != tasks[0]:
            raise UserError(
                f"{run.folder} measures {task.headline}, {runs[0].folder} {tasks[0].headline}: compare runs of one task."
            )
    return runs


def read_run(folder: Path, name: str) -> Run:
    """The Run in a folder. Raises UserError where there is none, or none that has been evaluated."""
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder: name the output folder of a run, which holds config.yaml and evaluation.json.")
    config = folder / "config.yaml"
    if not config.is_file():
        raise UserError(f"{folder} is no run's output folder: it has no config.yaml.")
    results = read_results(folder, name)
    if not results:
        raise UserError(f"{folder} holds no results: evaluate the run first, with DATASETS.TEST set.")
    try:
        settings = flat(yaml.safe_load(config.read_text(encoding="utf-8")) or {})
    except (yaml.YAMLError, UnicodeDecodeError, AttributeError) as error:
        raise UserError(f"{config} cannot be read as YAML: it is not what a run wrote there.") from error
    return Run(name, folder, settings, results)


def distinct(paths: Sequence[Path]) -> list[str]:
    """The shortest ends of paths that tell them apart: folders' names, where these differ."""
    common = os.path.commonpath(paths)
    last = [path.name for path in paths]
    return last if len(set(last)) == len(last) else [path.relative_to(common).as_posix() for path in paths]


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as {key with dots: value}."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        found.update(flat(value, f"{prefix}{key}.") if isinstance(value, dict) and value else {f"{prefix}{key}": value})
    return found


def different_settings(runs: Sequence[Run]) -> dict[str, list]:
    """{key: value of every run, or "-" where it has none} of settings that are not the same in all runs."""
    keys = dict.fromkeys(key for run in runs for key in run.settings if key not in PLACES)
    values = {key: [run.settings.get(key, ABSENT) for run in runs] for key in keys}
    return {key: row for key, row in values.items() if any(value != row[0] for value in row)}


def warnings_of(runs: Sequence[Run]) -> list[str]:
    """Sentences on what makes the runs' numbers hard to compare."""
    found = []
    tests = [sorted({row["test"] for row in run.results}) for run in runs]
    if any(test != tests[0] for test in tests):
        each = "; ".join(f"{run.name} on {', '.join(test)}" for run, test in zip(runs, tests, strict=True))
        found.append(f"The runs were tested on different data: {each}. Only results on the same test set have differences.")
    iterations = [run.results[0]["iterations"] for run in runs]
    if len(set(iterations)) > 1:
        each = ", ".join(
            f"{run.name} {'unknown' if count is None else count}" for run, count in zip(runs, iterations, strict=True)
        )
        found.append(f"The runs differ in iterations ({each}): part of a difference may be longer training.")
    return found


def difference_section(results: Sequence[dict], references: Sequence[dict], model: str, test: str) -> Section:
    """A table of each class's value in every run, with the difference to the reference."""
    names = names_in(results[0])
    rows = [run for run in results if (run["model"], run["test"]) == (model, test)]
    classes = list(dict.fromkeys(name for run in rows for name in run[names.class_key]))
    table: list[list] = [["class", *(run["method"] for run in rows)]]
    for name in classes:
        cells = []
        for run in rows:
            reference = reference_of(run, references)
            value = run[names.class_key].get(name)
            more = delta(run[names.class_key], reference and reference[names.class_key], name)
            cells.append(ABSENT if value is None else f"{value:.1f}" + (f" ({signed(more)})" if more is not None else ""))
        table.append([name, *cells])
    bars = report.class_section(results, model, test)
    return {**bars, "title": f"Classes, {model} on {test}", "note": f"{names.per_class} in percent.", "tables": [table]}


def settings_section(runs: Sequence[Run]) -> Section:
    """A table of the settings that differ."""
    rows = [[key, *(as_text(value) for value in values)] for key, values in different_settings(runs).items()]
    if not rows:
        return {"title": "Settings", "note": "The runs have the same settings, but for their output folders."}
    note = "Those that differ. A dash: the run's config.yaml does not have the key."
    return {"title": "Settings", "note": note, "tables": [[["key", *(run.name for run in runs)], *rows]]}


def as_text(value: object) -> str:
    """A setting as its YAML says it, on one line."""
    return (
        value if isinstance(value, str) and value else yaml.safe_dump(value, default_flow_style=True, width=1000).split("\n")[0]
    )


def write_comparison(path: str | Path, runs: Sequence[Run], curves: Mapping[str, str]) -> None:
    """Write a report of several runs; everything is compared with the first.

    Args:
        path: HTML file.
        runs: of `read_runs`.
        curves: as in `report.curve_section`.
    """
    results = [row for run in runs for row in run.results]
    places = dict.fromkeys((row["model"], row["test"]) for row in results)
    sections = [report.curve_section({run.name: run.folder for run in runs}, curves)]
    sections += [difference_section(results, runs[0].results, *place) for place in places]
    sections.append(settings_section(runs))
    title = f"{', '.join(run.name for run in runs[1:])} against {runs[0].name}"
    subtitle = f"{len(runs)} runs; last evaluation of each."
    report.write_report(path, title, subtitle, results, sections, warnings=warnings_of(runs))
