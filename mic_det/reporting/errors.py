"""Tables of what a detector gets right, wrong and misses. Every function returns rows, the first one being the header."""

from collections.abc import Mapping, Sequence

import numpy as np

from mic_det.evaluation.matching import DUPLICATE, SIZES, TRUE, WRONG, ClassMatches

SCORES = np.arange(0.0, 1.0, 0.1)
Matches = Mapping[str, ClassMatches]  # by class name
Table = list[list]
COUNTS = ("right", "wrong", "missed", "precision", "recall")


def share(part: float, whole: float) -> str:
    """The part as a share of the whole, in 0..1; a dash where there is nothing."""
    return f"{part / whole:.2f}" if whole else "-"


def count_row(label: str, true: int, false: int, missed: int) -> list:
    """A row of COUNTS."""
    return [label, true, false, missed, share(true, true + false), share(true, true + missed)]


def total(matches: Matches, min_score: float, size: str | None = None) -> list[int]:
    """(right, wrong, missed) over all classes."""
    return np.sum([own.counts(min_score, size) for own in matches.values()], axis=0).tolist()


def by_class(matches: Matches, min_score: float) -> Table:
    """COUNTS of each class and of all, at a least score."""
    rows = [count_row(name, *own.counts(min_score)) for name, own in matches.items()]
    return [["class", *COUNTS], *rows, count_row("all", *total(matches, min_score))]


def by_size(matches: Matches, min_score: float) -> Table:
    """COUNTS of small, medium and large objects, at a least score."""
    return [["size", *COUNTS], *(count_row(size, *total(matches, min_score, size)) for size in SIZES)]


def by_score(matches: Matches) -> Table:
    """How many detections of each score are right: a calibration table."""
    scores = np.concatenate([own.scores for own in matches.values()])
    kinds = np.concatenate([own.kinds for own in matches.values()])
    rows = []
    for low in SCORES:
        chosen = kinds[(scores >= low) & ((scores < low + 0.1) | (low >= 0.9))]
        right, duplicate, wrong = (int((chosen == kind).sum()) for kind in (TRUE, DUPLICATE, WRONG))
        rows.append([f"{low:.1f} to {low + 0.1:.1f}", right, duplicate, wrong, share(right, right + duplicate + wrong)])
    return [["score", "right", "duplicate", "wrong", "precision"], *rows]


def by_threshold(matches: Matches, thresholds: Sequence[float]) -> Table:
    """Precision and recall of the pseudo boxes that each threshold would give."""
    return [["threshold", *COUNTS], *(count_row(f"{value:.2f}", *total(matches, value)) for value in thresholds)]


def by_class_and_threshold(matches: Matches, thresholds: Sequence[float]) -> Table:
    """`precision / recall` of each class at each threshold."""
    rows = []
    for name, own in matches.items():
        counts = [own.counts(value) for value in thresholds]
        cells = [f"{share(true, true + false)} / {share(true, true + missed)}" for true, false, missed in counts]
        rows.append([name, *cells])
    return [["precision / recall", *(f"{value:.2f}" for value in thresholds)], *rows]
