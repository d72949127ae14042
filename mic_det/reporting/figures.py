"""Figures of the report: curves over iterations and bars per class. Every function returns a matplotlib Figure."""

import numpy as np
from matplotlib.figure import Figure

from mic_det.evaluation.matching import precision_recall

COLOURS = {
    "source_only": "#8d99ae",
    "mean_teacher": "#e9a23b",
    "sada": "#c1666b",
    "mic": "#2a6f97",
    "mic_sada": "#4b2e83",
    "daformer": "#e9a23b",
    "hrda": "#c1666b",
    "mic_daformer": "#2a6f97",
    "mic_hrda": "#4b2e83",
    "oracle": "#5a9367",
}


def colour(method):
    return COLOURS.get(method, "#7b4b94")


def curves(histories, name, title):
    """One line per run of the logged value `name`.

    Args:
        histories: run name -> list of metrics.json entries.
    """
    figure = Figure(figsize=(5.2, 2.8), layout="constrained")
    axes = figure.subplots()
    for run, entries in histories.items():
        points = [(entry["iteration"] + 1, entry[name]) for entry in entries if name in entry]
        if points:
            axes.plot(*zip(*points, strict=True), label=run, color=colour(run))
    axes.set(title=title, xlabel="iteration")
    axes.grid(alpha=0.3)
    if axes.lines:
        axes.legend(frameon=False)
    return figure


def precision_recall_curves(matches, title):
    """One precision-recall curve per class.

    Args:
        matches: class name -> ClassMatches.
    """
    figure = Figure(figsize=(7.2, 3.6), layout="constrained")
    axes = figure.subplots()
    for name, own in matches.items():
        if len(own.truth_areas) and len(own.scores):
            precision, recall = precision_recall(own)
            axes.plot(recall, precision, label=name, linewidth=1.2)
    axes.set(title=title, xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
    axes.grid(alpha=0.3)
    if axes.lines:
        axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    return figure


def class_bars(values, title, metric):
    """Grouped bars.

    Args:
        values: run name -> {class name: percent, or None without ground truth}.
        metric: name of the values.
    """
    figure = Figure(figsize=(10.6, 3.0), layout="constrained")
    axes = figure.subplots()
    classes = list(next(iter(values.values())))
    width = 0.8 / len(values)
    for position, (run, by_class) in enumerate(values.items()):
        places = [index + (position - (len(values) - 1) / 2) * width for index in range(len(classes))]
        axes.bar(places, [by_class[name] or 0 for name in classes], width, label=run, color=colour(run))
    axes.set_xticks(
        range(len(classes)), classes, rotation=0 if len(classes) < 12 else 40, ha="center" if len(classes) < 12 else "right"
    )
    axes.set(title=title, ylabel=metric, ylim=(0, 100))
    axes.grid(axis="y", alpha=0.3)
    axes.legend(frameon=False, ncols=len(values))
    return figure


def confusion(matrix, classes):
    """Row-normalised confusion matrix in percent.

    Args:
        matrix: KxK counts, true class by predicted class.
        classes: K names.
    """
    matrix = np.asarray(matrix, dtype=np.float64)
    shares = 100 * matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    figure = Figure(figsize=(0.42 * len(classes) + 2.2, 0.36 * len(classes) + 1.6), layout="constrained")
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=100, aspect="auto")
    for row, column in zip(*np.nonzero(shares >= 1), strict=True):
        dark = shares[row, column] > 55
        axes.text(column, row, f"{shares[row, column]:.0f}", ha="center", va="center", size=7, color="white" if dark else "black")
    axes.set_xticks(range(len(classes)), classes, rotation=60, ha="right", size=8)
    axes.set_yticks(range(len(classes)), classes, size=8)
    axes.set(xlabel="predicted", ylabel="true")
    return figure
