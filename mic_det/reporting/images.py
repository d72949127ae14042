"""The images that reports show: spread over a dataset, without those that cannot be read."""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from mic_det.data.images import named
from mic_det.data.stream import READ_ERRORS, StreamDataset

logger = logging.getLogger(__name__)


def evenly(items: Sequence, count: int) -> list:
    """`count` items spread over the whole sequence."""
    steps = np.linspace(0, len(items) - 1, min(count, len(items))).round().astype(int)
    return [items[index] for index in steps]


def readable(records: Iterable[dict], read: Callable[[dict], Any]) -> Iterator[tuple[dict, Any]]:
    """Yield (record, read(record)) of every record; one whose image or label cannot be read is reported and left out."""
    for record in records:
        try:
            sample = read(record)
        except READ_ERRORS as error:
            logger.warning("Unreadable, left out of the pictures: %s", named(record["file_name"], error))
        else:
            yield record, sample


def training_samples(dataset: StreamDataset, count: int, seed: int) -> list[dict]:
    """`count` samples of a StreamDataset, evenly spread; as in training, another image replaces one that cannot be read."""
    dataset.seed = (seed,)
    return [dataset[index, position] for position, index in enumerate(evenly(range(len(dataset)), count))]
