"""The watch over pseudo boxes."""

import logging

from detectron2.engine import HookBase

logger = logging.getLogger(__name__)


class PseudoBoxWatch(HookBase):
    """Warns when pseudo-labels vanish or multiply; looks at logged means only."""

    def __init__(self, collapse_iters, runaway_factor, burn_in):
        self.collapse_iters = collapse_iters
        self.runaway_factor = runaway_factor
        self.last_seen = burn_in
        self.warned = set()

    def before_train(self):
        self.last_seen = max(self.last_seen, self.trainer.start_iter)
        self.read_at = -1

    def after_step(self):
        storage = self.trainer.storage
        if "pseudo_boxes_per_image" not in storage.histories():
            return
        found, read_at = storage.latest()["pseudo_boxes_per_image"]
        if read_at == self.read_at:
            return
        self.read_at = read_at
        if found > 0:
            self.last_seen = read_at
            self.warned.discard("collapse")
        elif read_at - self.last_seen >= self.collapse_iters:
            self.warn(
                "collapse",
                f"No pseudo box was found for {read_at - self.last_seen} iterations: the target is not learned from. Lower "
                "MODEL.MIC.PSEUDO_LABELS.THRESHOLD, or train longer before adapting (MODEL.MIC.BURN_IN).",
            )
        source = storage.latest()["source_boxes_per_image"][0]
        if found > self.runaway_factor * source:
            self.warn(
                "runaway",
                f"{found:.1f} pseudo boxes per target image against {source:.1f} boxes per source image: pseudo-labels may be "
                "running away. Raise MODEL.MIC.PSEUDO_LABELS.THRESHOLD or MODEL.MIC.TEACHER.ALPHA.",
            )

    def warn(self, kind, message):
        if kind not in self.warned:
            self.warned.add(kind)
            logger.warning(message)
