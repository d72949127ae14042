"""Rare Class Sampling (Hoyer et al., DAFormer, CVPR 2022, section 3.3): source images are drawn by the class they hold."""

from collections.abc import Sequence

import numpy as np

from mic_det.data.records import Pixels, Record, Sample
from mic_det.data.segmentation_mapper import SegmentationMapper
from mic_det.data.stream import StreamDataset
from mic_det.errors import UserError

REDRAWS = 10


class RareClassSampling:
    """Draws a class, rare ones more often, then an image that holds enough of it."""

    def __init__(
        self, counts: Sequence[Pixels], temperature: float, min_pixels: float, class_names: Sequence[str] | None = None
    ) -> None:
        """
        Args:
            counts: {class: pixels} per image.
            temperature: of the softmax over 1 - frequency (equation 7); the lower, the more the rare classes come.
            min_pixels: images qualify for a class with more pixels of it than this.
            class_names: for the error message.

        Raises:
            UserError: when no class occurs, or one that does has no image with enough pixels of it.
        """
        self.classes = sorted({index for found in counts for index in found})
        if not self.classes:
            raise UserError("Rare Class Sampling finds no class in any label image: all their pixels are ignored (255).")
        totals = np.array([sum(found.get(index, 0) for found in counts) for index in self.classes], dtype=np.float64)
        frequency = totals / totals.sum()
        scores = (1 - frequency) / temperature
        exponential = np.exp(scores - scores.max())
        self.probability = exponential / exponential.sum()
        self.images = [[n for n, found in enumerate(counts) if found.get(index, 0) > min_pixels] for index in self.classes]
        for index, images in zip(self.classes, self.images, strict=True):
            if not images:
                name = class_names[index] if class_names else index
                raise UserError(
                    f"DATASETS.RARE_CLASSES.MIN_PIXELS: no image has more than {min_pixels} pixels of class '{name}': lower it."
                )

    def draw(self) -> tuple[int, int]:
        """(image index, class) from numpy's global generator."""
        place = np.random.choice(len(self.classes), p=self.probability)
        return int(np.random.choice(self.images[place])), self.classes[place]


class RareClassDataset(StreamDataset):
    """Ignores the stream's order: which image comes is drawn, like its augmentation, from the position's generator.

    The crop is redrawn, from the same decoded image, until it holds enough of the drawn class, at most REDRAWS times.
    """

    mapper: SegmentationMapper

    def __init__(
        self, records: Sequence[Record], mapper: SegmentationMapper, sampling: RareClassSampling, min_crop_pixels: float
    ) -> None:
        """
        Args:
            records, mapper: as in StreamDataset; the mapper has `read` and `crop`.
            sampling: RareClassSampling over the records.
            min_crop_pixels: crops hold more pixels of the class than this.
        """
        super().__init__(records, mapper)
        self.sampling = sampling
        self.min_crop_pixels = min_crop_pixels

    def choose(self, index: int) -> Record:
        """The record of a drawn image, whatever the stream's order says."""
        place, self.wanted = self.sampling.draw()
        return self.records[place]

    def sample(self, record: Record) -> Sample:
        """A crop that holds enough of the class that `choose` drew, or the last that was tried."""
        image = self.mapper.read(record)
        for _ in range(1 + REDRAWS):
            sample = self.mapper.crop(record, image)
            if (sample["sem_seg"] == self.wanted).sum() > self.min_crop_pixels:
                break
        return sample
