"""Dataset dict -> input of a segmentation network, for labelled source, unlabelled target and test images."""

from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode, configurable
from detectron2.data import transforms as T

from mic_det.data.augmentation import ResizeToFit, colour_jitter
from mic_det.data.images import ValueRange, read_image
from mic_det.data.label_images import IGNORE, read_labels
from mic_det.data.records import Record, Sample, Size


class SegmentationMapper:
    """Reads, resizes, crops and flips one image; with labels for the source, with the margins' mask for the target.

    All randomness comes from numpy's global generator, which the loader seeds for every sample.
    """

    @configurable
    def __init__(
        self,
        size: tuple[int, int] | tuple[()],
        crop_size: Size,
        image_format: str,
        num_classes: int | None = None,
        max_area: float = 1.0,
        jitter: float = 0.0,
        margins: tuple[int, ...] = (),
        pad_value: float = 0.0,
        value_range: ValueRange = (),
    ) -> None:
        """
        Args:
            size: (width, height) to fit images into; () keeps their size.
            crop_size: (height, width) of the crop; smaller images are padded to it.
            image_format: "BGR" or "RGB".
            num_classes: of the labels; None for unlabelled images, whose labels are not even looked at.
            max_area: source crops are redrawn while one class fills more than this share of them.
            jitter: strength of colour jitter.
            margins: pixels at top, bottom, left and right of the unresized image that are not valid; () for none.
            pad_value: grey level of the padding.
            value_range: see `read_image`.
        """
        self.resize = T.AugmentationList([ResizeToFit(size)] if size else [])
        constrained = [T.RandomCrop_CategoryAreaConstraint("absolute", crop_size, max_area, IGNORE)] if num_classes else []
        label_pad = IGNORE if num_classes else 0
        fixed = T.FixedSizeCrop(crop_size, pad=True, pad_value=pad_value, seg_pad_value=label_pad)
        self.augmentations = T.AugmentationList([*constrained, fixed, T.RandomFlip(), *colour_jitter(jitter)])
        self.image_format = image_format
        self.num_classes = num_classes
        self.margins = margins if any(margins) else ()
        self.value_range = value_range

    @classmethod
    def from_config(cls, cfg: CfgNode, labelled: bool) -> dict[str, Any]:
        semantic = cfg.INPUT.SEM_SEG
        return {
            "size": semantic.SOURCE_SIZE if labelled else semantic.TARGET_SIZE,
            "crop_size": tuple(cfg.INPUT.CROP.SIZE),
            "image_format": cfg.INPUT.FORMAT,
            "num_classes": cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES if labelled else None,
            "max_area": cfg.INPUT.CROP.SINGLE_CATEGORY_MAX_AREA,
            "jitter": cfg.INPUT.COLOR_JITTER if labelled else 0.0,
            "margins": () if labelled else semantic.TARGET_MARGINS,
            "pad_value": float(round(sum(cfg.MODEL.PIXEL_MEAN) / 3)),
            "value_range": tuple(cfg.INPUT.RANGE),
        }

    def read(self, record: Record) -> T.AugInput:
        """The decoded and resized image with its labels or its mask of valid pixels, an AugInput.

        Raises:
            OSError, ValueError: when the image or its labels cannot be used, or nothing of it is valid.
        """
        image = read_image(record["file_name"], self.image_format, self.value_range)
        if self.num_classes is None:
            return self.fit(image)
        return self.fit(image, read_labels(record["sem_seg_file_name"], self.num_classes, image.shape[:2]))

    def fit(self, image: np.ndarray, labels: np.ndarray | None = None) -> T.AugInput:
        """An image (HxWx3) resized with its labels (HxW) or its mask of valid pixels, an AugInput.

        Raises:
            ValueError: when the margins leave nothing of it.
        """
        height, width = image.shape[:2]
        inputs = T.AugInput(image, sem_seg=valid_mask((height, width), self.margins) if self.margins else labels)
        self.resize(inputs)
        if self.margins and not inputs.sem_seg.any():
            margins = ", ".join(map(str, self.margins))
            raise ValueError(f"INPUT.SEM_SEG.TARGET_MARGINS ({margins}) leave nothing of an image of {width}x{height} pixels")
        return inputs

    def crop(self, record: Record, whole: T.AugInput) -> Sample:
        """A random training sample of what `read` gave, which stays as it is."""
        inputs = T.AugInput(whole.image, sem_seg=whole.sem_seg)
        self.augmentations(inputs)
        sample = {
            "image": torch.from_numpy(np.ascontiguousarray(inputs.image.transpose(2, 0, 1))),
            "file_name": record["file_name"],
            "image_id": record["image_id"],
            "height": inputs.image.shape[0],
            "width": inputs.image.shape[1],
        }
        if inputs.sem_seg is not None:
            second = torch.from_numpy(np.ascontiguousarray(inputs.sem_seg))
            sample.update({"sem_seg": second} if self.num_classes is not None else {"valid": second.bool()})
        return sample

    def __call__(self, record: Record) -> Sample:
        """Return {"image": CxHxW uint8, "sem_seg": HxW uint8 or "valid": HxW bool, "file_name", "image_id", ...}."""
        return self.crop(record, self.read(record))


def valid_mask(shape: Size, margins: tuple[int, ...]) -> np.ndarray:
    """HxW uint8: 0 within the margins (top, bottom, left, right) in pixels, else 1."""
    top, bottom, left, right = margins
    mask = np.zeros(shape, dtype=np.uint8)
    mask[top : max(shape[0] - bottom, 0), left : max(shape[1] - right, 0)] = 1
    return mask


class SegmentationTestMapper:
    """Reads and resizes one test image; "height" and "width" are the original's."""

    @configurable
    def __init__(self, size: tuple[int, int] | tuple[()], image_format: str, value_range: ValueRange = ()) -> None:
        """
        Args:
            size: (width, height) to fit images into; () keeps their size.
            image_format: "BGR" or "RGB".
            value_range: see `read_image`.
        """
        self.resize = ResizeToFit(size) if size else None
        self.image_format = image_format
        self.value_range = value_range

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        return {
            "size": cfg.INPUT.SEM_SEG.TEST_SIZE,
            "image_format": cfg.INPUT.FORMAT,
            "value_range": tuple(cfg.INPUT.RANGE),
        }

    def __call__(self, record: Record) -> Sample:
        """The record with what `prepare` gives."""
        image = read_image(record["file_name"], self.image_format, self.value_range)
        return {**record, **self.prepare(image)}

    def prepare(self, image: np.ndarray) -> Sample:
        """{"image", "height", "width"} of HxWx3 uint8 in the network's channel order."""
        height, width = image.shape[:2]
        image = self.resize.get_transform(image).apply_image(image) if self.resize else image
        tensor = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))
        return {"image": tensor, "height": height, "width": width}
