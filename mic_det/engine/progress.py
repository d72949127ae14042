"""The log line: progress, time left, losses and what the pseudo-labels do."""

import datetime
import logging
import time

from detectron2.utils.events import EventWriter, get_event_storage

logger = logging.getLogger(__name__)


class ProgressLine(EventWriter):
    def __init__(self, start_iter, max_iter):
        self.start_iter, self.max_iter = start_iter, max_iter
        self.start = time.perf_counter()

    def write(self):
        storage = get_event_storage()
        values = {name: value for name, (value, iteration) in storage.latest().items() if iteration == storage.iter}
        done = storage.iter + 1
        rate = (time.perf_counter() - self.start) / (done - self.start_iter)
        left = datetime.timedelta(seconds=int(rate * (self.max_iter - done)))
        losses = "  ".join(
            f"{name.removeprefix('loss_')} {value:.3f}" for name, value in values.items() if name.startswith("loss_")
        )
        boxes = f"boxes {values['source_boxes_per_image']:.1f}"
        if "pseudo_boxes_per_image" in values:
            boxes += f"  pseudo {values['pseudo_boxes_per_image']:.1f}"
        logger.info(
            "%d/%d  %.0f%%  left %s  %.3f s/it  loss %.3f (%s)  %s  lr %.2g",
            *(done, self.max_iter, 100 * done / self.max_iter, left, values["time"], values["total_loss"], losses, boxes),
            values["lr"],
        )
