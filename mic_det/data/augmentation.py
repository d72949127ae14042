"""Augmentations that detectron2 does not have, in its terms."""

import cv2
import numpy as np
from detectron2.data import transforms as T
from fvcore.transforms.transform import Transform


class OpenCVResize(Transform):
    """Resizing by OpenCV, bilinear for images and nearest for labels, as the published segmentation code does.

    Detectron2's own uses PIL, which smooths when it shrinks.
    """

    def __init__(self, width: int, height: int) -> None:
        super().__init__()
        self.size = (width, height)

    def apply_image(self, image: np.ndarray) -> np.ndarray:
        """HxW(xC) of any number type that OpenCV resizes."""
        return cv2.resize(image, self.size, interpolation=cv2.INTER_LINEAR)

    def apply_segmentation(self, segmentation: np.ndarray) -> np.ndarray:
        """HxW labels."""
        return cv2.resize(segmentation, self.size, interpolation=cv2.INTER_NEAREST)

    def apply_coords(self, coords: np.ndarray) -> np.ndarray:
        """There are no boxes to resize."""
        raise NotImplementedError("OpenCVResize is for images and label images.")


class ResizeToFit(T.Augmentation):
    """The largest size that fits into (width, height), or (height, width), with the image's ratio; no side gets below 1 pixel."""

    def __init__(self, size: tuple[int, int]) -> None:
        super().__init__()
        self.long, self.short = max(size), min(size)

    def get_transform(self, image: np.ndarray) -> Transform:
        """The resizing of HxW(xC); none at all where the size stays."""
        height, width = image.shape[:2]
        scale = min(self.long / max(height, width), self.short / min(height, width))
        width, height = (max(int(side * scale + 0.5), 1) for side in (width, height))
        return T.NoOpTransform() if (height, width) == image.shape[:2] else OpenCVResize(width, height)


def colour_jitter(strength: float) -> list[T.Augmentation]:
    """Augmentations of brightness, contrast and saturation by up to `strength`; [] for 0."""
    if strength <= 0:
        return []
    low, high = 1 - strength, 1 + strength
    return [T.RandomBrightness(low, high), T.RandomContrast(low, high), T.RandomSaturation(low, high)]
