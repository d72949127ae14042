"""One self-contained HTML file: results, curves, bars and pictures, all embedded."""

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypedDict

import numpy as np
from jinja2 import Environment, PackageLoader, select_autoescape
from markupsafe import Markup

from mic_det.evaluation.confusion import read_confusion
from mic_det.evaluation.matching import ClassMatches
from mic_det.evaluation.metrics import names_in
from mic_det.outputs import write_text
from mic_det.reporting import errors, figures
from mic_det.reporting.embedding import Picture, Plot, embed_figure, embed_rows
from mic_det.reporting.headline import UNCLEAR, delta, headline, reference_of, signed
from mic_det.reporting.links import link_pages
from mic_det.reporting.palette import LegendEntry

CURVES = {
    "total_loss": "loss (source and masked target)",
    "gradient_norm": "gradient norm",
}
Row = Sequence[tuple[str, np.ndarray]]  # (caption, HxWx3 uint8 RGB image)


class Section(TypedDict, total=False):
    """A part of a report.

    Keys:
        title: heading.
        note: sentences below it.
        legend: class names and their colours.
        marks: what lines mean: (name, "solid", "dashed", "dotted" or "filled").
        figures: of matplotlib.
        tables: rows of cells, the first row being the header.
        rows: of pictures.
    """

    title: str
    note: str
    legend: Sequence[LegendEntry]
    marks: Sequence[tuple[str, str]]
    figures: list[Plot]
    tables: list[list[list]]
    rows: list[list[Picture]]


class Change(NamedTuple):
    """How a number differs from that of the reference: in words, and "gain", "loss" or "none"."""

    text: str
    kind: str


def read_lines(path: str | Path) -> list[dict]:
    """Entries of a JSON-lines file; [] when it does not exist."""
    return [json.loads(line) for line in Path(path).read_text().splitlines()] if Path(path).is_file() else []


def curve_section(folders: Mapping[str, str | Path], curves: Mapping[str, str]) -> Section:
    """Training curves of several runs, laid over each other, those of the evaluations first.

    Args:
        folders: run name -> output folder.
        curves: logged value -> title, beside loss and gradient norm.
    """
    histories = {name: read_lines(Path(folder) / "metrics.json") for name, folder in folders.items()}
    logged = {name: None for entries in histories.values() for entry in entries for name in entry}
    shown = {**evaluated(histories, logged), **{name: title for name, title in {**CURVES, **curves}.items() if name in logged}}
    plots = [embed_figure(partial(figures.curves, histories, name, title), f"Curve: {title}") for name, title in shown.items()]
    return {"title": "Training", "figures": plots}


def evaluated(histories: Mapping[str, Sequence[dict]], logged: Mapping[str, None]) -> dict[str, str]:
    """{logged value: title} of headline metrics that a run has at two iterations or more."""
    found = {}
    for name in logged:
        model, _, rest = name.partition("/")
        dataset, _, metric = rest.rpartition("/")
        often = max(sum(name in entry for entry in entries) for entries in histories.values()) > 1
        if dataset and "/" not in dataset and metric in ("AP50", "mIoU", "top1") and often:
            found[name] = f"{metric}, {model}, {dataset}"
    return found


def class_section(results: Sequence[dict], model: str, test: str) -> Section:
    """Bars per class of one model kind on one test set; `results` as in `write_report`."""
    names = names_in(results[0])
    values = {run["method"]: run[names.class_key] for run in results if (run["model"], run["test"]) == (model, test)}
    title = f"{names.per_class} per class, {model}, {test}"
    return {
        "title": f"Classes ({test})",
        "figures": [embed_figure(partial(figures.class_bars, values, title, names.per_class), f"Bars: {title}")],
    }


def error_section(title: str, matches: Mapping[str, ClassMatches], min_score: float = 0.5) -> Section:
    """Precision-recall curves and what is right, wrong and missed, by class, size and score.

    Args:
        matches: class name -> ClassMatches.
        min_score: detections below it count as not made in the tables by class and size.
    """
    note = (
        f"IoU above 0.5. Right, wrong and missed at a score of at least {min_score}; a second detection of an object is wrong; "
        "a wrong detection counts at its own size. Sizes as in COCO: below 32², below 96² pixels, larger."
    )
    tables = [errors.by_class(matches, min_score), errors.by_size(matches, min_score), errors.by_score(matches)]
    plot = embed_figure(partial(figures.precision_recall_curves, matches, title), f"Precision and recall: {title}")
    return {"title": title, "note": note, "figures": [plot], "tables": tables}


def confusion_sections(folder: Path, model: str, datasets: Sequence[str], unit: str) -> list[Section]:
    """Pictures of the confusion matrices that a run's last evaluation left in its output folder.

    Args:
        model: "teacher" or "student".
        unit: what is counted: "pixels" or "images".
    """
    sections: list[Section] = []
    for dataset in datasets:
        found = read_confusion(folder / "inference" / model / dataset)
        if found:
            classes, matrix = found
            note = f"Rows are true classes; shades and numbers are the percent of their {unit} predicted as the column's class."
            title = f"Confusion of the {model} on {dataset}"
            plot = embed_figure(partial(figures.confusion, matrix, classes), title)
            sections.append({"title": title, "note": note, "figures": [plot]})
    return sections


def picture_section(
    title: str,
    rows: Sequence[Row],
    note: str = "",
    legend: Sequence[LegendEntry] = (),
    marks: Sequence[tuple[str, str]] = (),
) -> Section:
    """Rows of pictures that open large, with legends as in `Section`."""
    return {"title": title, "note": note, "rows": embed_rows(rows), "legend": legend, "marks": marks}


def table_rows(results: Sequence[dict], references: Sequence[dict], metrics: Sequence[str]) -> list[dict]:
    """`results` with "cells": for every metric (number, Change against the reference or None)."""
    rows = []
    for run in results:
        reference, cells = reference_of(run, references), []
        for name in metrics:
            value, more = run[name], delta(run, reference, name)
            cells.append((f"{value:.1f}" if value is not None else "-", change(more) if more is not None else None))
        rows.append({**run, "cells": cells})
    return rows


def change(value: float) -> Change:
    """The Change of a difference in percent points."""
    return Change(signed(value), "none" if abs(value) < UNCLEAR else "gain" if value > 0 else "loss")


def write_report(
    path: str | Path,
    title: str,
    subtitle: str,
    results: Sequence[dict],
    sections: Sequence[Section],
    notes: Sequence[str] = (),
    *,
    references: Sequence[dict] | None = None,
    reference: str = "",
    adapts_from: int | None = None,
    warnings: Sequence[str] = (),
) -> None:
    """Write the report, and link it and the pages beside it to each other.

    Args:
        results: [] for none, or what `read_results` returns.
        sections: what `curve_section`, `class_section` and `picture_section` return.
        notes: sentences below the table.
        references: rows in the form of `results` that these are compared with; None for the first method's.
        reference: what the references are, in words.
        adapts_from: as in `headline`.
        warnings: sentences that nobody should overlook.
    """
    if references is None:
        references = [run for run in results if run["method"] == results[0]["method"]]
        several = any(run["method"] != results[0]["method"] for run in results)
        reference = f"Differences are to {results[0]['method']}, in percent points." if several else ""
    metrics = names_in(results[0]).overall if results else ()
    environment = Environment(loader=PackageLoader("mic_det.reporting", "."), autoescape=select_autoescape(["j2"]))
    page = environment.get_template("report.html.j2").render(
        title=title,
        subtitle=subtitle,
        results=results,
        rows=table_rows(results, references, metrics),
        sections=sections,
        notes=notes,
        metrics=metrics,
        reference=reference,
        headline=headline(results, references, adapts_from),
        warnings=warnings,
        stylesheet=Markup((Path(__file__).parent / "report.css").read_text(encoding="utf-8")),
    )
    write_text(path, page)
    link_pages(Path(path).parent)
