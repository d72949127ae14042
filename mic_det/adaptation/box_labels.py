"""Teacher output -> labels with a quality for the masked student (MIC, CVPR 2023, section 3.3)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import paste_masks_in_image
from detectron2.structures import BitMasks, Boxes, Instances


@dataclass
class PseudoBoxes:
    """Pseudo-labels of one image.

    Attributes:
        instances: "gt_boxes", "gt_classes", "gt_scores" (the teacher's, in [0, 1]) and, when asked for, "gt_masks".
        uncertain: boxes whose score lies in the ignore band; neither object nor background.
    """

    instances: Instances
    uncertain: Boxes


class BoxPseudoLabels:
    """Keeps the teacher's confident boxes as labels."""

    @configurable
    def __init__(self, threshold: float | Sequence[float], ignore_threshold: float | None = None, masks: bool = False) -> None:
        """
        Args:
            threshold: least score (inclusive) of a label: one number, or one per class.
            ignore_threshold: boxes that score at least this but less than `threshold` mark regions to ignore;
                None turns the band off and makes them background.
            masks: also keep the teacher's instance masks.
        """
        values = torch.as_tensor(threshold, dtype=torch.float32)
        if values.ndim > 1 or not ((values >= 0) & (values <= 1)).all():
            raise ValueError(f"Pseudo-label thresholds must lie in [0, 1], got {threshold}.")
        self.threshold = values
        self.ignore_threshold = ignore_threshold
        self.masks = masks

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        labels = cfg.MODEL.MIC.PSEUDO_LABELS
        per_class = labels.CLASS_THRESHOLDS
        return {
            "threshold": per_class or labels.THRESHOLD,
            "ignore_threshold": labels.IGNORE_THRESHOLD if labels.IGNORE_THRESHOLD > 0 else None,
            "masks": labels.MASKS,
        }

    def label(self, prediction: Instances) -> PseudoBoxes:
        """Label one image from `Instances` with "pred_boxes", "pred_classes", "scores" in network-input coordinates."""
        scores, classes = prediction.scores, prediction.pred_classes
        threshold = self.threshold.to(scores.device)
        if threshold.ndim:
            threshold = threshold[classes]
        solid = prediction.pred_boxes.nonempty()
        keep = solid & (scores >= threshold)
        instances = Instances(prediction.image_size)
        instances.gt_boxes = prediction.pred_boxes[keep]
        instances.gt_classes = classes[keep]
        instances.gt_scores = scores[keep]
        if self.masks:
            instances.gt_masks = whole_image_masks(prediction[keep])
        if self.ignore_threshold is None:
            uncertain = prediction.pred_boxes.tensor.new_zeros(0, 4)
        else:
            uncertain = prediction.pred_boxes.tensor[solid & ~keep & (scores >= self.ignore_threshold)]
        return PseudoBoxes(instances, Boxes(uncertain))

    def __call__(self, predictions: Iterable[Instances]) -> list[PseudoBoxes]:
        """Label a list of images; an image without a confident box gets no instances."""
        return [self.label(prediction) for prediction in predictions]


def whole_image_masks(prediction: Instances) -> BitMasks:
    """Predicted masks inside boxes ("pred_masks" Nx1xSxS in [0, 1]) as BitMasks of the whole image."""
    masks = prediction.pred_masks[:, 0].float()
    return BitMasks(paste_masks_in_image(masks, prediction.pred_boxes, prediction.image_size, threshold=0.5))
