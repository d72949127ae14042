"""Watches over pseudo-labels: hooks that warn when self-training goes wrong. They look at logged means only."""

import logging
from abc import ABC, abstractmethod
from collections.abc import Mapping

from detectron2.engine import HookBase

logger = logging.getLogger(__name__)


class PseudoLabelWatch(HookBase, ABC):
    """Warns once when pseudo-labels vanish, again after they have recovered.

    Attributes:
        value: name of the logged mean that the watch reads.
        vanished_at: a mean of at most this says that there are no pseudo-labels.
        nothing: how to say that in a sentence.
    """

    value: str
    vanished_at: float = 0.0
    nothing: str

    def __init__(self, collapse_iters: int, burn_in: int) -> None:
        """
        Args:
            collapse_iters: iterations without pseudo-labels after which it warns.
            burn_in: iteration at which adaptation begins.
        """
        self.collapse_iters = collapse_iters
        self.last_seen = burn_in
        self.read_at = -1
        self.warned: set[str] = set()

    def before_train(self) -> None:
        self.last_seen = max(self.last_seen, self.trainer.start_iter)
        self.read_at = -1

    def after_step(self) -> None:
        if self.value not in self.trainer.storage.histories():
            return
        latest = self.trainer.storage.latest()
        found, read_at = latest[self.value]
        if read_at == self.read_at:
            return
        self.read_at = read_at
        if found > self.vanished_at:
            self.last_seen = read_at
            self.warned.discard("collapse")
        elif read_at - self.last_seen >= self.collapse_iters:
            self.warn(
                "collapse",
                f"{self.nothing} for {read_at - self.last_seen} iterations: the target is not learned from. Lower "
                "MODEL.MIC.PSEUDO_LABELS.THRESHOLD, or train longer before adapting (MODEL.MIC.BURN_IN).",
            )
        self.look_for_runaway({name: value for name, (value, _) in latest.items()})

    @abstractmethod
    def look_for_runaway(self, means: Mapping[str, float]) -> None:
        """Warn when there is too much of something in {name: last logged mean}."""

    def warn(self, kind: str, message: str) -> None:
        """Log a message unless one of its kind stands there already."""
        if kind not in self.warned:
            self.warned.add(kind)
            logger.warning(message)


class PseudoBoxWatch(PseudoLabelWatch):
    """Warns when pseudo boxes vanish or multiply."""

    value = "pseudo_boxes_per_image"
    nothing = "No pseudo box was found"

    def __init__(self, collapse_iters: int, runaway_factor: float, burn_in: int) -> None:
        super().__init__(collapse_iters, burn_in)
        self.runaway_factor = runaway_factor

    def look_for_runaway(self, means: Mapping[str, float]) -> None:
        found, source = means[self.value], means["source_boxes_per_image"]
        if found > self.runaway_factor * source:
            self.warn(
                "runaway",
                f"{found:.1f} pseudo boxes per target image against {source:.1f} boxes per source image: pseudo-labels may be "
                "running away. Raise MODEL.MIC.PSEUDO_LABELS.THRESHOLD or MODEL.MIC.TEACHER.ALPHA.",
            )


class ClassShareWatch(PseudoLabelWatch):
    """Warns when there is almost no confidence in pseudo-labels, or almost all are of the same class.

    Attributes:
        what: what gets labels.
    """

    vanished_at = 0.01
    what: str

    def __init__(self, collapse_iters: int, largest_share: float, burn_in: int) -> None:
        super().__init__(collapse_iters, burn_in)
        self.largest_share = largest_share

    def look_for_runaway(self, means: Mapping[str, float]) -> None:
        share = means["pseudo_largest_share"]
        if share > self.largest_share:
            self.warn(
                "runaway",
                f"{share:.0%} of the target's {self.what} get the same class: pseudo-labels may be collapsing. Train longer "
                "before adapting (MODEL.MIC.BURN_IN), or raise MODEL.MIC.TEACHER.ALPHA.",
            )


class PixelLabelWatch(ClassShareWatch):
    """Of segmentation."""

    value = "pseudo_quality"
    nothing = "At most 1 % of the target's pixels were confident"
    what = "pixels"


class ImageLabelWatch(ClassShareWatch):
    """Of classification."""

    value = "pseudo_score"
    nothing = "The teacher gave its labels a probability of at most 1 %"
    what = "images"
