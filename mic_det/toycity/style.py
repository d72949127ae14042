"""The synthetic look of ToyCity: another palette, other textures and other light on the same streets, like a video game's."""

from collections.abc import Sequence

import cv2
import numpy as np

from . import ids
from .background import smooth_noise

# Factor and offset per RGB channel of a class's colours; classes that are not named get DEFAULT.
DEFAULT = ((1.1, 1.02, 0.9), (8, 2, -6))
PALETTE = {
    ids.ROAD: ((0.75, 0.78, 0.92), (-8, -6, 4)),
    ids.SIDEWALK: ((1.15, 0.95, 0.8), (10, 0, -8)),
    ids.BUILDING: ((1.2, 1.0, 0.75), (16, 4, -12)),
    ids.WALL: ((1.2, 0.9, 0.8), (10, -6, -6)),
    ids.FENCE: ((0.8, 0.9, 1.1), (0, 0, 8)),
    ids.VEGETATION: ((1.4, 1.15, 0.6), (14, 8, -12)),
    ids.TERRAIN: ((1.4, 1.05, 0.7), (16, 2, -8)),
    ids.SKY: ((0.8, 0.95, 1.15), (-16, -4, 8)),
}
WEAKEST, STRONGEST = 0.9, 1.4  # scenes differ in how far they are from the real style, as a factor on the above
CONTRAST, SATURATION = 1.25, 1.45
GRAIN = 10.0  # strength of the textures in grey levels


def stylise(image: np.ndarray, labels: np.ndarray, seed: Sequence[int]) -> np.ndarray:
    """The synthetic version of a rendered image.

    Args:
        image: HxWx3 float32 RGB in 0..255, without sensor noise.
        labels: HxW uint8 Cityscapes label ids.
        seed: of the textures and the light, a tuple of integers.

    Returns:
        HxWx3 float32; values may leave 0..255.
    """
    rng = np.random.default_rng(seed)
    strength = rng.uniform(WEAKEST, STRONGEST)
    height, width = labels.shape
    factors = np.tile(np.array(DEFAULT[0], np.float32), (256, 1))
    offsets = np.tile(np.array(DEFAULT[1], np.float32), (256, 1))
    for label, (factor, offset) in PALETTE.items():
        factors[label], offsets[label] = factor, offset
    image = image * (1 + strength * (factors[labels] - 1)) + strength * offsets[labels]

    # Tiled textures: the same weave everywhere, which no real surface has.
    rows, columns = np.mgrid[:height, :width].astype(np.float32) * (256 / width)
    weave = np.sin(rows * 1.9 + 0.6 * labels) * np.sin(columns * 1.7 + 0.4 * labels)
    image = image + strength * GRAIN * (weave * (labels != ids.SKY))[..., None]

    grey = image.mean(axis=2, keepdims=True)
    image = grey + (1 + strength * (SATURATION - 1)) * (image - grey)
    image = 120 + (1 + strength * (CONTRAST - 1)) * (image - 120)
    # A low sun from one side.
    side = np.linspace(-1, 1, width, dtype=np.float32) * rng.choice([-1, 1])
    sun = np.array([26, 12, -14], np.float32) * strength
    image = image + side[None, :, None] * sun
    image = image * (1 + 0.05 * smooth_noise(rng, height, width, 6))[..., None]
    return cv2.GaussianBlur(image.astype(np.float32), (3, 3), 0.5)
