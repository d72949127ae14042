"""One picture of many images with their boxes, labels or classes."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from PIL import Image, ImageDraw

from mic_det.data.check import DatasetCheck
from mic_det.data.images import ValueRange, read_image
from mic_det.data.label_images import default_colours, read_labels
from mic_det.data.stream import READ_ERRORS
from mic_det.reporting.drawing import draw_boxes
from mic_det.reporting.images import evenly
from mic_det.reporting.labels import draw_label
from mic_det.reporting.palette import class_colour
from mic_det.reporting.segmentation_pictures import overlay

TILE = 320  # width of one image in pixels
COLUMNS = 4
TALLEST = 3 * TILE  # height of one image; taller ones are squeezed


def tile(record: dict, names: Sequence[str], value_range: ValueRange = ()) -> np.ndarray:
    """One image with its boxes, labels or class, TILE pixels wide; grey when it cannot be read. RGB."""
    try:
        image = read_image(record["file_name"], "RGB", value_range)
    except READ_ERRORS:
        return np.full((TILE * 3 // 4, TILE, 3), 128, np.uint8)
    height = min(max(round(TILE * image.shape[0] / image.shape[1]), 1), TALLEST)
    if "sem_seg_file_name" in record:
        drawn = label_overlay(image, record["sem_seg_file_name"], default_colours(len(names)))
        return cv2.resize(drawn, (TILE, height), interpolation=cv2.INTER_AREA)
    if "label" in record:
        square = cv2.resize(image, (TILE, TILE))
        return with_class(square, names[record["label"]], class_colour(record["label"]))
    scale = torch.tensor([2 * TILE / image.shape[1], 2 * height / image.shape[0]] * 2)
    image = cv2.resize(image, (2 * TILE, 2 * height))
    items = record.get("annotations", [])
    boxes = torch.tensor([item["bbox"] for item in items], dtype=torch.float32).reshape(-1, 4) * scale
    boxes[:, 2:] += boxes[:, :2]
    drawn = draw_boxes(image, boxes, [item["category_id"] - 1 for item in items], names)
    return cv2.resize(drawn, (TILE, height), interpolation=cv2.INTER_AREA)


def with_class(image: np.ndarray, name: str, colour: str) -> np.ndarray:
    """The image with the name of its class at its lower left."""
    picture = Image.fromarray(image)
    draw_label(ImageDraw.Draw(picture), name, (0, picture.height, picture.width, picture.height), colour, size=20)
    return np.array(picture)


def label_overlay(image: np.ndarray, label_file: str, colours: Sequence[Sequence[int]]) -> np.ndarray:
    """The image with its labels over it, or as it is where they cannot be used."""
    try:
        labels = read_labels(label_file, len(colours))
        return overlay(image, labels, colours) if labels.shape == image.shape[:2] else image
    except READ_ERRORS:
        return image


def contact_sheet(check: DatasetCheck, count: int = 12, value_range: ValueRange = ()) -> np.ndarray:
    """HxWx3 uint8 RGB: up to `count` images of a DatasetCheck, evenly spread, with their boxes or labels."""
    tiles = [tile(record, check.classes, value_range) for record in evenly(check.records, count)]
    height = max(part.shape[0] for part in tiles)
    tiles = [np.pad(part, ((0, height - part.shape[0]), (0, 0), (0, 0))) for part in tiles]
    tiles += [np.zeros_like(tiles[0])] * (-len(tiles) % COLUMNS)
    return np.concatenate([np.concatenate(tiles[start : start + COLUMNS], axis=1) for start in range(0, len(tiles), COLUMNS)])
