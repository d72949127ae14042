"""PASCAL VOC's average precision at IoU 0.5: interpolated at 11 recalls (VOC07) or exact (VOC12)."""

from collections import OrderedDict
from collections.abc import Iterable

import numpy as np

from mic_det.data.records import Content, Item
from mic_det.evaluation.matching import match_all, precision_recall
from mic_det.evaluation.metrics import Metrics

METRICS = ("voc07", "voc12")


def average_precision(precision: np.ndarray, recall: np.ndarray, metric: str) -> float:
    """Area under the precision-recall curve, in [0, 1].

    Args:
        precision, recall: N, as detections are added from the most confident on.
        metric: "voc07" or "voc12".
    """
    # The largest precision at this recall or a higher one.
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    if metric == "voc07":
        reached = [envelope[recall >= level] for level in np.arange(0.0, 1.1, 0.1)]
        return sum(part[0] if part.size else 0.0 for part in reached) / 11
    return float((np.diff(recall, prepend=0.0) * envelope).sum())


def voc_metrics(content: Content, detections: Iterable[Item], metric: str) -> Metrics:
    """Percentages "VOC07" (mean over classes) and "VOC07/<class>", or VOC12; NaN for a class without ground truth.

    Args:
        content: COCO dictionary; annotations with "difficult" 1 are left out, as VOC does.
        detections: COCO results.
        metric: "voc07" or "voc12".
    """
    values = {
        name: 100 * average_precision(*precision_recall(matches), metric) if len(matches.truth_areas) else float("nan")
        for name, matches in match_all(content, detections).items()
    }
    known = [value for value in values.values() if value == value]
    title = metric.upper()
    mean = sum(known) / len(known) if known else float("nan")
    return OrderedDict({title: mean, **{f"{title}/{name}": value for name, value in values.items()}})
