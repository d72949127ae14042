"""Cityscapes label ids (https://github.com/mcordts/cityscapesScripts, helpers/labels.py): facts, not code."""

from mic_det.data.label_ids import CITYSCAPES_IDS, train_id_table

EGO = 1
ROAD, SIDEWALK, BUILDING, WALL, FENCE, POLE = 7, 8, 11, 12, 13, 17
LIGHT, SIGN, VEGETATION, TERRAIN, SKY = 19, 20, 21, 22, 23
INSTANCES = {"person": 24, "rider": 25, "car": 26, "truck": 27, "bus": 28, "train": 31, "motorcycle": 32, "bicycle": 33}

TRAIN_IDS = train_id_table(CITYSCAPES_IDS)  # label id -> training class
