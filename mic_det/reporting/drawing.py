"""Boxes on pictures, and pictures from what networks see."""

from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np
import torch
from detectron2.structures import Instances
from PIL import Image, ImageDraw

from mic_det.reporting.labels import Rectangle, draw_label
from mic_det.reporting.palette import class_colour

MIN_WIDTH = 640  # smaller images are enlarged before drawing, so that labels can be read
STYLES = {"solid": (1, 0), "dashed": (10, 6), "dotted": (2, 4)}  # line and gap, in line widths
Point = tuple[float, float]  # x, y in pixels
CASING = "#101418"  # around lines, so that they are seen on a ground of their own colour


def rgb(image: np.ndarray, image_format: str) -> np.ndarray:
    """HxWx3 RGB of an image in INPUT.FORMAT "RGB" or "BGR"."""
    return np.ascontiguousarray(image[..., ::-1] if image_format == "BGR" else image)


def draw_boxes(
    image: np.ndarray,
    boxes: torch.Tensor | Sequence,
    classes: Sequence[int] | torch.Tensor,
    names: Sequence[str],
    scores: Sequence[float] | torch.Tensor | None = None,
    verdicts: Sequence[tuple[str, str]] | None = None,
) -> np.ndarray:
    """Draw boxes in the colours of their classes, with class names (and scores), on an HxWx3 uint8 RGB image.

    Args:
        boxes: Nx4 XYXY in pixels of `image`; those without an area are left out.
        classes: N indices into `names`.
        scores: N values in [0, 1], or None.
        verdicts: N of (what follows the class name, one of STYLES), or None.

    Returns:
        A new image, enlarged by a whole number when it is narrower than MIN_WIDTH.
    """
    zoom = max(1, round(MIN_WIDTH / image.shape[1]))
    picture = Image.fromarray(cv2.resize(image, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_LINEAR))
    draw, width = ImageDraw.Draw(picture), max(3, round(picture.width / 240))
    corners = (torch.as_tensor(boxes, dtype=torch.float32).reshape(-1, 4) * zoom).tolist()
    # Large ones first: what lies in them is drawn over them.
    chosen = sorted((index for index, box in enumerate(corners) if is_solid(box)), key=lambda index: -area(corners[index]))
    colours = {index: class_colour(int(classes[index])) for index in chosen}
    for index in chosen:
        outline(draw, corners[index], colours[index], width, verdicts[index][1] if verdicts else "solid")
    taken: list[Rectangle] = []
    for index in chosen:
        words = [names[int(classes[index])]]
        words += [verdicts[index][0]] if verdicts and verdicts[index][0] else []
        words += [f"{float(scores[index]):.2f}"] if scores is not None else []
        box = corners[index]
        size = font_size(picture.width, box[2] - box[0])
        taken.append(draw_label(draw, " ".join(words), (box[0], box[1], box[2], box[3]), colours[index], size, taken))
    return np.array(picture)


def draw_instances(image: np.ndarray, instances: Instances, names: Sequence[str], min_score: float = 0.0) -> np.ndarray:
    """Draw detectron2 `Instances`, predicted ("pred_boxes", of at least `min_score`) or labelled ("gt_boxes")."""
    instances = instances.to("cpu")
    if instances.has("pred_boxes"):
        instances = instances[instances.scores >= min_score]
        return draw_boxes(image, instances.pred_boxes.tensor, instances.pred_classes, names, instances.scores)
    scores = instances.gt_scores if instances.has("gt_scores") else None
    return draw_boxes(image, instances.gt_boxes.tensor, instances.gt_classes, names, scores)


def is_solid(box: Sequence[float]) -> bool:
    """Whether an XYXY box has an area."""
    return box[2] > box[0] and box[3] > box[1]


def area(box: Sequence[float]) -> float:
    """Pixels of an XYXY box."""
    return (box[2] - box[0]) * (box[3] - box[1])


def font_size(width: int, box_width: float) -> int:
    """Pixels of a label's font in a picture: smaller on narrow boxes, so that neighbours do not hide each other."""
    size = min(max(width / 34, 13), 30)
    return round(size if box_width > 4 * size else max(0.75 * size, 12))


def outline(draw: ImageDraw.ImageDraw, box: Sequence[float], colour: str, width: int, style: str = "solid") -> None:
    """Draw a box's four edges in one of STYLES, each with a dark casing of a pixel."""
    left, top, right, bottom = box
    edges = (
        ((left, top), (right, top)),
        ((right, top), (right, bottom)),
        ((left, bottom), (right, bottom)),
        ((left, top), (left, bottom)),
    )
    pieces = [piece for edge in edges for piece in dashes(*edge, *(width * part for part in STYLES[style]))]
    for grow, ink in ((1, CASING), (0, colour)):
        for (x0, y0), (x1, y1) in pieces:
            reach = width // 2 + grow
            draw.rectangle((x0 - reach, y0 - reach, x1 + reach - 1 + width % 2, y1 + reach - 1 + width % 2), fill=ink)


def dashes(start: Point, end: Point, line: float, gap: float) -> Iterator[tuple[Point, Point]]:
    """Pieces of a horizontal or vertical line from `start` to `end`, `line` long and `gap` apart; the whole without a gap."""
    length = (end[0] - start[0]) + (end[1] - start[1])
    if not gap:
        yield start, end
        return
    for begin in np.arange(0, length, line + gap):
        yield between(start, end, begin / length), between(start, end, min(begin + line, length) / length)


def between(start: Point, end: Point, share: float) -> Point:
    """The point after a share of the way from `start` to `end`."""
    return start[0] + (end[0] - start[0]) * share, start[1] + (end[1] - start[1]) * share


def denormalised(image: torch.Tensor, model: Any) -> np.ndarray:
    """Network input (3xHxW, normalised) of a detectron2 model -> HxWx3 uint8 in the model's channel order."""
    image = image * model.pixel_std + model.pixel_mean
    return np.ascontiguousarray(image.clamp(0, 255).byte().permute(1, 2, 0).cpu().numpy())
