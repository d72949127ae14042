"""Endless, resumable streams of training samples.

A sample is a pure function of (seed, position in the stream): the position fixes which image comes, in which epoch's
order, and the generator its augmentation draws from. Resuming is therefore arithmetic, whatever the number of workers,
processes or accumulation steps.
"""

import contextlib
import logging
import random
import signal
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import cv2
import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, Sampler

from mic_det.data.images import named
from mic_det.data.records import Record, Sample
from mic_det.errors import UserError

logger = logging.getLogger(__name__)
# What PIL, OpenCV, detectron2 and pycocotools raise for files, labels and sizes that cannot be used; an AssertionError is
# detectron2's for a mask of another size than its image. Others are mistakes of ours and end the run.
READ_ERRORS = (
    *(OSError, ValueError, SyntaxError, EOFError, ArithmeticError, AssertionError, MemoryError),
    *(cv2.error, struct.error, zlib.error, Image.DecompressionBombError),
)

T = TypeVar("T")
Place = tuple[int, int]  # (index into the records, position in the stream)


@contextlib.contextmanager
def seeded(*seed: int) -> Iterator[None]:
    """Draw from generators seeded by `seed` inside, and leave python's, numpy's and torch's as they were."""
    with random_states_kept():
        words = np.random.SeedSequence(seed).generate_state(3)
        random.seed(int(words[0]))
        np.random.seed(words[1])
        torch.default_generator.manual_seed(int(words[2]))
        yield


@contextlib.contextmanager
def random_states_kept() -> Iterator[None]:
    """Leave python's, numpy's and torch's generators on the CPU as they were."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])


class PositionSampler(Sampler):
    """Yields one process's micro-batches of (index, position), for ever.

    Iteration i takes the positions i * total to (i + 1) * total - 1, in order, dealt out to its micro-batches and
    processes; every epoch is a new permutation of the dataset.
    """

    def __init__(
        self,
        size: int,
        seed: Iterable[int],
        total: int,
        micro_batches: int = 1,
        rank: int = 0,
        world_size: int = 1,
        start_iteration: int = 0,
    ) -> None:
        """
        Args:
            size: images in the dataset.
            seed: non-negative integers; streams of other seeds are independent.
            total: images per iteration over all processes and micro-batches; `check_batches` makes sure that it divides.
            micro_batches: parts into which a process divides its share of an iteration.
            rank, world_size: of this process.
            start_iteration: first iteration to yield.
        """
        self.size = size
        self.seed = tuple(seed)
        self.total = total
        self.per_batch = total // (micro_batches * world_size)
        self.step = self.per_batch * world_size
        self.rank = rank
        self.start = start_iteration * total
        self.epoch, self.order = -1, np.empty(0, dtype=int)

    def index(self, position: int) -> int:
        """Which image comes at a position of the stream."""
        epoch, offset = divmod(position, self.size)
        if epoch != self.epoch:
            self.epoch, self.order = epoch, np.random.default_rng((*self.seed, epoch)).permutation(self.size)
        return int(self.order[offset])

    def __iter__(self) -> Iterator[list[Place]]:
        first = self.start + self.rank * self.per_batch
        while True:
            yield [(self.index(position), position) for position in range(first, first + self.per_batch)]
            first += self.step


class StreamDataset(Dataset):
    """Maps (index, position) to a sample; an unreadable image is reported and replaced by another."""

    def __init__(self, records: Sequence[Record], mapper: Callable[[Record], Sample]) -> None:
        """
        Args:
            records: dataset dicts.
            mapper: dataset dict -> sample; it raises one of READ_ERRORS for an image or label that cannot be used.
        """
        self.records = records
        self.mapper = mapper
        self.seed: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.records)

    def choose(self, index: int) -> Record:
        """The record for a place in the stream's order."""
        return self.records[index % len(self.records)]

    def sample(self, record: Record) -> Sample:
        """What the mapper makes of a record; a subclass may draw it otherwise."""
        return self.mapper(record)

    def __getitem__(self, place: Place) -> Sample:
        index, position = place
        skipped: list[str] = []
        for attempt in range(len(self.records)):
            with seeded(*self.seed, position, *([attempt] if attempt else [])):
                record = self.choose(index + attempt)
                try:
                    return {**self.sample(record), "skipped": skipped}
                except READ_ERRORS as error:
                    skipped.append(named(record["file_name"], error))
        raise UserError(f"None of the {len(self.records)} images can be read; the first error is {skipped[0]}")


class Messenger(Dataset):
    """A dataset whose UserErrors are samples: a loader's process would send the text of a traceback instead."""

    def __init__(self, dataset: StreamDataset) -> None:
        self.dataset = dataset

    def __getitem__(self, place: Place) -> Sample | UserError:
        try:
            return self.dataset[place]
        except UserError as error:
            return error


def identity(batch: T) -> T:
    """The loader's collate function: samples stay a list."""
    return batch


def start_worker(worker_id: int) -> None:
    """One thread for each process that reads, and no answer to the signals that end a run."""
    cv2.setNumThreads(0)
    torch.set_num_threads(1)
    # The main process ends a run, after its iteration: a worker that ends first would spoil that.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


class Stream:
    """Iterates over lists of samples and counts the files that could not be read."""

    def __init__(self, dataset: StreamDataset, sampler: PositionSampler, workers: int = 0) -> None:
        """
        Args:
            dataset: StreamDataset; it takes over the sampler's seed.
            sampler: PositionSampler.
            workers: processes that read.
        """
        dataset.seed = sampler.seed
        loader = DataLoader(
            Messenger(dataset),
            batch_sampler=sampler,
            num_workers=workers,
            collate_fn=identity,
            worker_init_fn=start_worker,
            # Its own generator: starting an iterator draws from it, and a resumed run starts one where others do not.
            generator=torch.Generator(),
        )
        self.batches = iter(loader)
        self.unreadable: set[str] = set()

    def __iter__(self) -> "Stream":
        return self

    def __next__(self) -> list[Sample]:
        batch = self.next_batch()
        for sample in batch:
            if isinstance(sample, UserError):
                raise sample
            for message in sample.pop("skipped"):
                if message not in self.unreadable:
                    logger.warning("Image left out, another takes its place: %s", message)
                self.unreadable.add(message)
        return batch

    def next_batch(self) -> list[Any]:
        """A batch as the loader's processes sent it. Raises UserError when one of them was ended."""
        try:
            return next(self.batches)
        except RuntimeError as error:
            # Torch's words for a process that the system has ended.
            if "DataLoader worker (pid" not in str(error):
                raise
            raise UserError(
                "A process that reads images was ended by the system, most often for want of memory (or of shared memory, "
                f"/dev/shm): lower DATALOADER.NUM_WORKERS, or set it to 0. Torch says: {str(error).splitlines()[0]}"
            ) from error
