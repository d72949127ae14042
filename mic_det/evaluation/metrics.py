"""What the metrics of a task are called, in evaluation.json and in reports."""

from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import TypeVar

Metrics = dict[str, float]  # {name: percent}
T = TypeVar("T")


@dataclass(frozen=True)
class MetricNames:
    """Names of a task's metrics, in percent.

    Attributes:
        overall: in the order of reports.
        shown: those that studies show, the one that they compare first.
        per_class: prefix of the values per class, `<per_class>/<class name>`.
        further: what evaluation gives beside these, in some settings.
    """

    overall: tuple[str, ...]
    shown: tuple[str, ...]
    per_class: str
    further: tuple[str, ...] = ()

    @property
    def headline(self) -> str:
        """The metric that is compared first."""
        return self.shown[0]

    @property
    def class_key(self) -> str:
        """Key of {class name: value} in summary.json and reports."""
        return f"per_class_{self.per_class}"


def per_class(metrics: Mapping[str, T], metric: str) -> dict[str, T]:
    """{class name: value} of the entries `<metric>/<class name>`."""
    prefix = f"{metric}/"
    return {name.removeprefix(prefix): value for name, value in metrics.items() if name.startswith(prefix)}


BOXES = MetricNames(("AP", "AP50", "AP75"), ("AP50", "AP"), "AP50", ("mask_AP", "mask_AP50", "mask_AP75"))
PIXELS = MetricNames(("mIoU", "mAcc", "aAcc"), ("mIoU", "aAcc"), "IoU", ("fwIoU", "mIoU16", "mIoU13"))


IMAGES = MetricNames(("top1", "mean_class"), ("top1", "mean_class"), "accuracy")


def names_in(metrics: Container[str]) -> MetricNames:
    """The MetricNames of a result: of evaluation.json, or of a report's row."""
    return next(names for names in (PIXELS, IMAGES, BOXES) if names.headline in metrics)
