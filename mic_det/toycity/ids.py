"""Cityscapes label ids (https://github.com/mcordts/cityscapesScripts, helpers/labels.py): facts, not code."""

import numpy as np

EGO = 1
ROAD, SIDEWALK, BUILDING, WALL, FENCE, POLE = 7, 8, 11, 12, 13, 17
LIGHT, SIGN, VEGETATION, TERRAIN, SKY = 19, 20, 21, 22, 23
INSTANCES = {"person": 24, "rider": 25, "car": 26, "truck": 27, "bus": 28, "train": 31, "motorcycle": 32, "bicycle": 33}

# label id -> train id; 255 is ignored
TRAIN_IDS = np.full(256, 255, dtype=np.uint8)
for _train_id, _label_id in enumerate(
    (ROAD, SIDEWALK, BUILDING, WALL, FENCE, POLE, LIGHT, SIGN, VEGETATION, TERRAIN, SKY, *INSTANCES.values())
):
    TRAIN_IDS[_label_id] = _train_id
