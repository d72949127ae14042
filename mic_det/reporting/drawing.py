"""Pictures: boxes on images, and tiles of pictures with captions."""

import cv2
import numpy as np
import torch
from torchvision.utils import draw_bounding_boxes

PALETTE = ("#e6194b", "#f58231", "#3cb44b", "#4363d8", "#42d4f4", "#911eb4", "#f032e6", "#ffe119", "#469990", "#9a6324")
MIN_WIDTH = 640  # smaller images are enlarged before drawing, so that captions can be read


def rgb(image, image_format):
    return np.ascontiguousarray(image[..., ::-1] if image_format == "BGR" else image)


def draw_boxes(image, boxes, classes, names, scores=None):
    """Draw boxes with class names (and scores) on an HxWx3 uint8 RGB image; returns a new, possibly enlarged image.

    Args:
        boxes: Nx4 XYXY in pixels of `image`.
        classes: N indices into `names`.
        scores: N values in [0, 1], or None.
    """
    zoom = max(1, round(MIN_WIDTH / image.shape[1]))
    image = cv2.resize(image, None, fx=zoom, fy=zoom, interpolation=cv2.INTER_NEAREST)
    tensor = torch.from_numpy(image).permute(2, 0, 1)
    boxes = torch.as_tensor(boxes, dtype=torch.float32).reshape(-1, 4) * zoom
    solid = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
    if not solid.any():
        return image
    chosen = solid.nonzero()[:, 0].tolist()
    classes = [int(classes[index]) for index in chosen]
    labels = [names[kind] for kind in classes]
    if scores is not None:
        labels = [f"{label} {float(scores[index]):.2f}" for label, index in zip(labels, chosen, strict=True)]
    colours = [PALETTE[kind % len(PALETTE)] for kind in classes]
    return draw_bounding_boxes(tensor, boxes[solid], labels, colours, width=2).permute(1, 2, 0).numpy()


def draw_instances(image, instances, names, min_score=0.0):
    """Draw detectron2 `Instances`, predicted ("pred_boxes") or labelled ("gt_boxes")."""
    instances = instances.to("cpu")
    if instances.has("pred_boxes"):
        instances = instances[instances.scores >= min_score]
        return draw_boxes(image, instances.pred_boxes.tensor, instances.pred_classes, names, instances.scores)
    scores = instances.gt_scores if instances.has("gt_scores") else None
    return draw_boxes(image, instances.gt_boxes.tensor, instances.gt_classes, names, scores)


def denormalised(image, model):
    """Network input (3xHxW, normalised) of a detectron2 model -> HxWx3 uint8 in the model's channel order."""
    image = image * model.pixel_std + model.pixel_mean
    return np.ascontiguousarray(image.clamp(0, 255).byte().permute(1, 2, 0).cpu().numpy())
