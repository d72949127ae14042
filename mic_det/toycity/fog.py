"""Fog by the optical model of Foggy Cityscapes (Sakaridis et al., IJCV 2018, eq. 1-2)."""

from collections.abc import Sequence

import numpy as np


def add_fog(image: np.ndarray, depth: np.ndarray, beta: float, airlight: Sequence[float] | np.ndarray) -> np.ndarray:
    """Return `image` seen through homogeneous fog: I = L t + A (1 - t) with t = exp(-beta depth).

    Args:
        image: HxWx3 uint8, the clear scene L.
        depth: HxW float, metres.
        beta: attenuation per metre; the meteorological visibility is 3.912 / beta metres.
        airlight: three values in [0, 255], the colour A of the fog.
    """
    transmission = np.exp(-beta * depth)[..., None].astype(np.float32)
    airlight = np.asarray(airlight, dtype=np.float32)
    return (airlight + (image - airlight) * transmission + 0.5).astype(np.uint8)
