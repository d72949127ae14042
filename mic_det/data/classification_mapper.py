"""Dataset dict -> input of a classification network."""

from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode, configurable
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms import v2 as T

from mic_det.data.images import ValueRange, read_image
from mic_det.data.records import Record, Sample


class ClassificationMapper:
    """Reads an image, squeezes it into a square, and crops and mirrors it; with its class for the source.

    All randomness comes from torch's global generator, which the loader seeds for every sample.
    """

    @configurable
    def __init__(
        self,
        resize: int,
        crop: int,
        image_format: str,
        labelled: bool = False,
        random: bool = True,
        random_resized_crop: bool = False,
        jitter: float = 0.0,
        value_range: ValueRange = (),
    ) -> None:
        """
        Args:
            resize: side in pixels of the square.
            crop: side in pixels of what the network sees, in its middle.
            image_format: "BGR" or "RGB".
            labelled: keep the class; otherwise it is not even looked at.
            random: mirror, jitter and crop at random, for training.
            random_resized_crop: crop 8 to 100 % of the square, ratio 3/4 to 4/3, instead of its middle.
            jitter: strength of brightness, contrast and saturation jitter.
            value_range: see `read_image`.
        """
        # Bicubic, as the published code's resizing.
        steps = [T.Resize((resize, resize), InterpolationMode.BICUBIC)]
        steps.append(T.RandomResizedCrop(crop) if random and random_resized_crop else T.CenterCrop(crop))
        steps += [T.RandomHorizontalFlip()] if random else []
        steps += [T.ColorJitter(jitter, jitter, jitter)] if random and jitter > 0 else []
        self.transform = T.Compose(steps)
        self.image_format = image_format
        self.labelled = labelled
        self.value_range = value_range

    @classmethod
    def from_config(cls, cfg: CfgNode, labelled: bool = False, random: bool = True) -> dict[str, Any]:
        sizes = cfg.INPUT.CLASSIFICATION
        return {
            "resize": sizes.RESIZE,
            "crop": sizes.CROP,
            "image_format": cfg.INPUT.FORMAT,
            "labelled": labelled,
            "random": random,
            "random_resized_crop": sizes.RANDOM_RESIZED_CROP,
            "jitter": cfg.INPUT.COLOR_JITTER if labelled else 0.0,
            "value_range": tuple(cfg.INPUT.RANGE),
        }

    def prepare(self, image: np.ndarray) -> torch.Tensor:
        """3xHxW uint8 of an HxWx3 uint8 image, both in RGB or both in BGR."""
        return torch.from_numpy(np.array(self.transform(Image.fromarray(image)))).permute(2, 0, 1).contiguous()

    def __call__(self, record: Record) -> Sample:
        """Return {"image": 3xHxW uint8, "file_name", "image_id" and, when `labelled`, "label"}."""
        image = read_image(record["file_name"], self.image_format, self.value_range)
        sample = {"image": self.prepare(image), **{key: record[key] for key in ("file_name", "image_id")}}
        return {**sample, "label": record["label"]} if self.labelled else sample
