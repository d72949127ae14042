"""Tables of what a detector gets right, wrong and misses. Every function returns rows, the first one being the header."""

import numpy as np

from mic_det.evaluation.matching import DUPLICATE, SIZES, TRUE, WRONG

SCORES = np.arange(0.0, 1.0, 0.1)
COUNTS = ("right", "wrong", "missed", "precision", "recall")


def share(part, whole):
    return f"{part / whole:.2f}" if whole else "-"


def count_row(label, true, false, missed):
    return [label, true, false, missed, share(true, true + false), share(true, true + missed)]


def total(matches, min_score, size=None):
    """(right, wrong, missed) over all classes."""
    return np.sum([own.counts(min_score, size) for own in matches.values()], axis=0).tolist()


def by_class(matches, min_score):
    rows = [count_row(name, *own.counts(min_score)) for name, own in matches.items()]
    return [["class", *COUNTS], *rows, count_row("all", *total(matches, min_score))]


def by_size(matches, min_score):
    return [["size", *COUNTS], *(count_row(size, *total(matches, min_score, size)) for size in SIZES)]


def by_score(matches):
    """How many detections of each score are right: a calibration table."""
    scores = np.concatenate([own.scores for own in matches.values()])
    kinds = np.concatenate([own.kinds for own in matches.values()])
    rows = []
    for low in SCORES:
        chosen = kinds[(scores >= low) & ((scores < low + 0.1) | (low >= 0.9))]
        right, duplicate, wrong = (int((chosen == kind).sum()) for kind in (TRUE, DUPLICATE, WRONG))
        rows.append([f"{low:.1f} to {low + 0.1:.1f}", right, duplicate, wrong, share(right, right + duplicate + wrong)])
    return [["score", "right", "duplicate", "wrong", "precision"], *rows]


def by_threshold(matches, thresholds):
    """Precision and recall of the pseudo boxes that each threshold would give."""
    return [["threshold", *COUNTS], *(count_row(f"{value:.2f}", *total(matches, value)) for value in thresholds)]


def by_class_and_threshold(matches, thresholds):
    """`precision / recall` of each class at each threshold."""
    rows = []
    for name, own in matches.items():
        counts = [own.counts(value) for value in thresholds]
        cells = [f"{share(true, true + false)} / {share(true, true + missed)}" for true, false, missed in counts]
        rows.append([name, *cells])
    return [["precision / recall", *(f"{value:.2f}" for value in thresholds)], *rows]
