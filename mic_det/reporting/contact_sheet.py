"""One picture of many images with their boxes, labels or classes."""

import cv2
import numpy as np
import torch

from mic_det.data.label_images import default_colours, read_labels
from mic_det.reporting.drawing import draw_boxes
from mic_det.reporting.images import evenly
from mic_det.reporting.segmentation_pictures import overlay

TILE = 320  # width of one image in pixels
COLUMNS = 4


def tile(record, names):
    """One image with its boxes, labels or class, TILE pixels wide; grey when it cannot be read. RGB."""
    image = cv2.imread(record["file_name"])
    if image is None:
        return np.full((TILE * 3 // 4, TILE, 3), 128, np.uint8)
    if "sem_seg_file_name" in record:
        drawn = label_overlay(image[..., ::-1], record["sem_seg_file_name"], default_colours(len(names)))
        return cv2.resize(drawn, (TILE, round(TILE * image.shape[0] / image.shape[1])), interpolation=cv2.INTER_AREA)
    if "label" in record:
        square = np.ascontiguousarray(cv2.resize(image, (TILE, TILE))[..., ::-1])
        return cv2.putText(square, names[record["label"]], (8, TILE - 12), cv2.FONT_HERSHEY_SIMPLEX, 0.9, (255, 255, 0), 2)
    scale = 2 * TILE / image.shape[1]
    image = cv2.resize(image, None, fx=scale, fy=scale)[..., ::-1]
    items = record.get("annotations", [])
    boxes = torch.tensor([item["bbox"] for item in items], dtype=torch.float32).reshape(-1, 4) * scale
    boxes[:, 2:] += boxes[:, :2]
    drawn = draw_boxes(np.ascontiguousarray(image), boxes, [item["category_id"] - 1 for item in items], names)
    return cv2.resize(drawn, (TILE, round(TILE * image.shape[0] / image.shape[1])), interpolation=cv2.INTER_AREA)


def label_overlay(image, label_file, colours):
    """The image with its labels over it, or as it is where they cannot be used."""
    try:
        labels = read_labels(label_file, len(colours))
        return overlay(image, labels, colours) if labels.shape == image.shape[:2] else image
    except (OSError, ValueError):
        return image


def contact_sheet(check, count=12):
    """HxWx3 uint8 RGB: up to `count` images of a DatasetCheck, evenly spread, with their boxes or labels."""
    tiles = [tile(record, check.classes) for record in evenly(check.records, count)]
    height = max(part.shape[0] for part in tiles)
    tiles = [np.pad(part, ((0, height - part.shape[0]), (0, 0), (0, 0))) for part in tiles]
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % COLUMNS)
    return np.concatenate([np.concatenate(tiles[start : start + COLUMNS], axis=1) for start in range(0, len(tiles), COLUMNS)])
