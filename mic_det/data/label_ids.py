"""Label ids of the driving datasets and the 19 Cityscapes training classes they map to: facts, not code."""

from collections.abc import Sequence

import numpy as np

from mic_det.data.label_images import IGNORE

CLASSES = (
    *("road", "sidewalk", "building", "wall", "fence", "pole", "traffic light", "traffic sign", "vegetation", "terrain"),
    *("sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle"),
)
COLOURS = (
    *((128, 64, 128), (244, 35, 232), (70, 70, 70), (102, 102, 156), (190, 153, 153), (153, 153, 153), (250, 170, 30)),
    *((220, 220, 0), (107, 142, 35), (152, 251, 152), (70, 130, 180), (220, 20, 60), (255, 0, 0), (0, 0, 142), (0, 0, 70)),
    *((0, 60, 100), (0, 80, 100), (0, 0, 230), (119, 11, 32)),
)
# The dataset's id of each training class, in the order of CLASSES.
CITYSCAPES_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)
GTA_IDS = CITYSCAPES_IDS
SYNTHIA_IDS = (3, 4, 2, 21, 5, 7, 15, 9, 6, 16, 1, 10, 17, 8, 18, 19, 20, 12, 11)
# What SYNTHIA results are averaged over: it has no terrain, truck and train; 13 classes leave out wall, fence and pole too.
SYNTHIA_16 = tuple(name for name in CLASSES if name not in ("terrain", "truck", "train"))
SYNTHIA_13 = tuple(name for name in SYNTHIA_16 if name not in ("wall", "fence", "pole"))


def train_id_table(ids: Sequence[int]) -> np.ndarray:
    """Array of 256: dataset id -> training class, IGNORE where there is none."""
    table = np.full(256, IGNORE, dtype=np.uint8)
    table[list(ids)] = np.arange(len(ids), dtype=np.uint8)
    return table
