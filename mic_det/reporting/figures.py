"""Figures of the report: curves over iterations and bars per class. Every function returns a matplotlib Figure."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from mic_det.evaluation.matching import ClassMatches, precision_recall
from mic_det.reporting.palette import curve_colour

INK = {"light": "#1d2733", "dark": "#e3e9f0"}
QUIET = {"light": "#c3ccd6", "dark": "#3d4a58"}
LINES = ("-", "--", "-.", ":")
SHADE = (31, 102, 173)  # RGB of 100 percent
FULL = 80  # percent from which a cell needs white text on either page
MOST_IN_A_ROW = 12  # class names that stand upright below bars


@contextlib.contextmanager
def theme(name: str) -> Iterator[None]:
    """Colours for a "light" or a "dark" page, for everything drawn inside."""
    ink_of = ("text.color", "axes.labelcolor", "xtick.labelcolor", "ytick.labelcolor", "axes.titlecolor")
    quiet_of = ("axes.edgecolor", "grid.color", "xtick.color", "ytick.color")
    settings: dict[Any, Any] = {**dict.fromkeys(ink_of, INK[name]), **dict.fromkeys(quiet_of, QUIET[name])}
    # Text stays text: small files, and the reader's own font.
    settings |= {"svg.fonttype": "none", "font.family": "sans-serif", "figure.facecolor": "none", "axes.facecolor": "none"}
    settings |= {"axes.spines.top": False, "axes.spines.right": False, "axes.titlesize": 11, "axes.titlelocation": "left"}
    with matplotlib.rc_context({**settings, "svg.hashsalt": "mic-det"}):
        yield


def curves(histories: Mapping[str, Sequence[dict]], name: str, title: str) -> Figure:
    """One line per run of the logged value `name`, laid over each other.

    Args:
        histories: run name -> list of metrics.json entries.
    """
    figure = Figure(figsize=(5.2, 2.9), layout="constrained")
    axes = figure.subplots()
    for position, (run, entries) in enumerate(histories.items()):
        points = [(entry["iteration"] + 1, entry[name]) for entry in entries if entry.get(name) is not None]
        if points:
            marker = "o" if len(points) < 12 else None
            line = LINES[position % len(LINES)]  # runs that coincide are both seen
            colour = curve_colour(position + (len(histories) == 1))
            axes.plot(*zip(*points, strict=True), line, label=run, color=colour, marker=marker, markersize=4, linewidth=1.6)
    axes.set(title=title, xlabel="iteration")
    axes.grid(linewidth=0.6)
    if axes.lines and len(histories) > 1:
        axes.legend(frameon=False)
    return figure


def precision_recall_curves(matches: Mapping[str, ClassMatches], title: str) -> Figure:
    """One precision-recall curve per class.

    Args:
        matches: class name -> ClassMatches.
    """
    figure = Figure(figsize=(7.2, 3.6), layout="constrained")
    axes = figure.subplots()
    for position, (name, own) in enumerate(matches.items()):
        if len(own.truth_areas) and len(own.scores):
            precision, recall = precision_recall(own)
            line = LINES[position // 8 % len(LINES)]
            axes.plot(recall, precision, line, label=name, linewidth=1.6, color=curve_colour(position))
    axes.set(title=title, xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
    axes.grid(linewidth=0.6)
    if axes.lines:
        axes.legend(frameon=False, fontsize=9, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def class_bars(values: Mapping[str, Mapping[str, float | None]], title: str, metric: str) -> Figure:
    """Grouped bars.

    Args:
        values: run name -> {class name: percent, or None without ground truth}.
        metric: name of the values.
    """
    classes = list(next(iter(values.values())))
    figure = Figure(figsize=(min(max(0.8 * len(classes), 6), 12), 3.2), layout="constrained")
    axes = figure.subplots()
    width = 0.8 / len(values)
    for position, (run, by_class) in enumerate(values.items()):
        places = [index + (position - (len(values) - 1) / 2) * width for index in range(len(classes))]
        colour = curve_colour(position + (len(values) == 1))
        axes.bar(places, [by_class.get(name) or 0 for name in classes], width, label=run, color=colour)
    upright = len(classes) < MOST_IN_A_ROW
    axes.set_xticks(range(len(classes)), classes, rotation=0 if upright else 40, ha="center" if upright else "right", size=9)
    axes.set(title=title, ylabel=metric, ylim=(0, 100))
    axes.grid(axis="y", linewidth=0.6)
    axes.set_axisbelow(True)
    if len(values) > 1:
        axes.legend(frameon=False, ncols=min(len(values), 4), loc="upper right")
    return figure


def confusion(matrix: Sequence[Sequence[float]], classes: Sequence[str]) -> Figure:
    """Row-normalised confusion matrix in percent.

    Args:
        matrix: KxK counts, true class by predicted class.
        classes: K names.
    """
    counts = np.asarray(matrix, dtype=np.float64)
    shares = 100 * counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = Figure(figsize=(0.42 * len(classes) + 2.2, 0.36 * len(classes) + 1.6), layout="constrained")
    axes = figure.subplots()
    axes.imshow(shades(shares), aspect="auto")
    for row, column in zip(*np.nonzero(shares >= 1), strict=True):
        ink: dict[str, Any] = {"color": "white"} if shares[row, column] > FULL else {}
        axes.text(column, row, f"{shares[row, column]:.0f}", ha="center", va="center", size=8, **ink)
    axes.set_xticks(range(len(classes)), classes, rotation=60, ha="right", size=8)
    axes.set_yticks(range(len(classes)), classes, size=8)
    axes.set(xlabel="predicted", ylabel="true")
    return figure


def shades(shares: np.ndarray) -> np.ndarray:
    """KxKx4 RGBA in 0..1 of percentages: the page shows through where they are small."""
    opacity = np.asarray(shares)[..., None] / 100
    return np.concatenate([np.broadcast_to(np.array(SHADE) / 255, (*opacity.shape[:-1], 3)), opacity], axis=-1)
