"""What a model says about one image."""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np
import torch
from detectron2.evaluation.coco_evaluation import instances_to_coco_json
from detectron2.structures import Instances

from mic_det.errors import UserError
from mic_det.reporting.drawing import draw_instances
from mic_det.reporting.segmentation_pictures import overlay


@dataclass(frozen=True)
class Result:
    """Predictions on one image, in its own pixels; two of `instances`, `sem_seg` and `scores` are None, by the task.

    Attributes:
        image: HxWx3 uint8 RGB that they are on.
        classes: names of the model's classes, by index.
        name: of the image's file; "" when it came without one. Frames of a video are `clip.mp4#0` and so on.
        instances: detection: detectron2's Instances on the CPU, with `pred_boxes` (XYXY), `scores` from `min_score` to 1,
            `pred_classes` and, from a network with masks, `pred_masks`.
        sem_seg: segmentation: KxHxW probabilities.
        scores: classification: K probabilities.
        colours: RGB triples of the classes, of segmentation.
    """

    image: np.ndarray
    classes: list[str]
    name: str = ""
    instances: Instances | None = None
    sem_seg: torch.Tensor | None = None
    scores: torch.Tensor | None = None
    colours: Sequence[Sequence[int]] = field(default=(), repr=False)

    @property
    def labels(self) -> np.ndarray:
        """Segmentation: HxW uint8, the likeliest class of every pixel. Raises UserError for other tasks."""
        if self.sem_seg is None:
            raise UserError("Only segmentation labels pixels: look at `instances` or `scores`.")
        return self.sem_seg.argmax(dim=0).byte().numpy()

    def draw(self) -> np.ndarray:
        """uint8 RGB picture: boxes on the image, colours over it, or, of a classifier, the image; small ones are enlarged."""
        if self.instances is not None:
            return draw_instances(self.image, self.instances, self.classes)
        return overlay(self.image, self.labels, self.colours) if self.sem_seg is not None else self.image.copy()

    def to_coco(self, image_id: int = 0) -> list[dict[str, Any]]:
        """Detections as COCO's results: boxes XYWH in pixels; `category_id` is the class index, from 0, as in `classes`.

        Raises:
            UserError: for other tasks than detection.
        """
        if self.instances is None:
            raise UserError("COCO's results are for detections: this model finds none.")
        return instances_to_coco_json(self.instances, image_id)

    def to_supervision(self) -> Any:
        """`supervision.Detections`, of segmentation with one mask per class found; of a classifier `Classifications`.

        Raises:
            UserError: when supervision is not installed.
        """
        supervision = extra("supervision")
        if self.scores is not None:
            scores = self.scores.numpy()
            return supervision.Classifications(class_id=np.arange(len(scores)), confidence=scores)
        if self.instances is None:
            found = np.unique(self.labels)
            masks = np.stack([self.labels == index for index in found])
            boxes = np.stack([box_around(mask) for mask in masks])
            return self.detections(supervision, boxes, found.astype(int), mask=masks)
        of_boxes = self.instances.pred_masks.numpy() if self.instances.has("pred_masks") else None
        boxes, classes = self.instances.pred_boxes.tensor.numpy(), self.instances.pred_classes.numpy()
        return self.detections(supervision, boxes, classes, mask=of_boxes, confidence=self.instances.scores.numpy())

    def detections(self, supervision: ModuleType, boxes: np.ndarray, classes: np.ndarray, **further: Any) -> Any:
        """`supervision.Detections` with the names of the classes."""
        names = np.array([self.classes[index] for index in classes], dtype=object)
        return supervision.Detections(xyxy=boxes, class_id=classes, data={"class_name": names}, **further)

    def to_fiftyone(self) -> Any:
        """`fiftyone.Detections` (boxes as shares of the image), `Segmentation` or `Classification`.

        Raises:
            UserError: when fiftyone is not installed.
        """
        fiftyone = extra("fiftyone")
        if self.scores is not None:
            best = int(self.scores.argmax())
            return fiftyone.Classification(label=self.classes[best], confidence=float(self.scores[best]))
        if self.instances is None:
            return fiftyone.Segmentation(mask=self.labels)
        size = self.image.shape[1::-1]
        found = self.instances
        boxes = zip(found.pred_boxes.tensor.tolist(), found.pred_classes.tolist(), found.scores.tolist(), strict=True)
        return fiftyone.Detections(
            detections=[
                fiftyone.Detection(label=self.classes[index], bounding_box=shares(box, size), confidence=score)
                for box, index, score in boxes
            ]
        )


def extra(name: str) -> ModuleType:
    """An optional package. Raises UserError, with the command that installs it, where it is missing."""
    try:
        return importlib.import_module(name)
    except ImportError:
        raise UserError(f"This needs the package {name}, which is not installed: pip install {name}.") from None


def box_around(mask: np.ndarray) -> np.ndarray:
    """XYXY of an HxW mask with at least one pixel."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], dtype=float)


def shares(box: list[float], size: tuple[int, ...]) -> list[float]:
    """An XYXY box in pixels -> left, top, width and height as shares of the image's (width, height)."""
    (left, top, right, bottom), (width, height) = box, size
    return [left / width, top / height, (right - left) / width, (bottom - top) / height]
