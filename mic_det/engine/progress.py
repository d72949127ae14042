"""The log line: progress, time left, losses and what the pseudo-labels do."""

import datetime
import logging
import math
import time
from collections.abc import Mapping

from detectron2.utils.events import EventWriter, get_event_storage

logger = logging.getLogger(__name__)


class ProgressLine(EventWriter):
    """Writes one line to the log from the latest values in detectron2's event storage."""

    def __init__(self, start_iter: int, max_iter: int, shown: Mapping[str, str] | None = None) -> None:
        """
        Args:
            shown: {label: logged value} to show beside the losses.
        """
        self.shown = shown or {}
        self.start_iter, self.max_iter = start_iter, max_iter
        self.start = time.perf_counter()

    def write(self) -> None:
        storage = get_event_storage()
        values = {name: value for name, (value, iteration) in storage.latest().items() if iteration == storage.iter}
        done = storage.iter + 1
        rate = (time.perf_counter() - self.start) / (done - self.start_iter)
        left = datetime.timedelta(seconds=int(rate * (self.max_iter - done)))
        losses = "  ".join(
            f"{name.removeprefix('loss_')} {value:.3f}" for name, value in values.items() if name.startswith("loss_")
        )
        shown = "  ".join(f"{label} {values[name]:.3g}" for label, name in self.shown.items() if name in values)
        total = values.get("total_loss", math.nan)
        logger.info(
            f"{done}/{self.max_iter}  {100 * done / self.max_iter:.0f}%  left {left}  {values['time']:.3f} s/it  "
            f"loss {total:.3f} ({losses})  {shown}  lr {values['lr']:.2g}"
        )
