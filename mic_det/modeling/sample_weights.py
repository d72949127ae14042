"""How far a training sample drawn around pseudo boxes is trusted."""

from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.structures import Boxes, Instances, pairwise_ioa, pairwise_iou

from mic_det.adaptation import PseudoBoxes

WEIGHTINGS = ("teacher_score", "student_max", "none")
# A background sample of which at least this share is covered by an uncertain box is ignored.
UNCERTAIN_COVER = 0.5


class SampleWeights:
    """Quality weight of sampled anchors and RoIs (MIC, CVPR 2023, equation 5).

    * "teacher_score": foreground takes its pseudo box's score, background the mean score of its image's pseudo boxes;
    * "student_max": the student's own confidence on the masked image, without gradient; what the published code does;
    * "none": 1.
    """

    @configurable
    def __init__(self, weighting: str = "teacher_score") -> None:
        """
        Args:
            weighting: one of WEIGHTINGS.
        """
        if weighting not in WEIGHTINGS:
            raise ValueError(f"Unknown pseudo-label weighting '{weighting}': choose one of {', '.join(WEIGHTINGS)}.")
        self.weighting = weighting

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        return {"weighting": cfg.MODEL.MIC.PSEUDO_LABELS.WEIGHT}

    @torch.no_grad()
    def __call__(self, is_object: torch.Tensor, boxes: Boxes, label: PseudoBoxes, confidence: torch.Tensor) -> torch.Tensor:
        """Weight of each sample of one image.

        Args:
            is_object: N bool, sampled as foreground.
            boxes: Boxes of the N samples.
            label: PseudoBoxes of the image, not empty.
            confidence: N, the student's own confidence, used by "student_max" only.
        """
        if self.weighting == "student_max":
            weights = confidence.detach()
        elif self.weighting == "teacher_score":
            weights = teacher_weights(is_object, boxes, label.instances).to(confidence.dtype)
        else:
            weights = torch.ones_like(confidence)
        return weights * self.certain(is_object, boxes, label)

    @staticmethod
    def certain(is_object: torch.Tensor, boxes: Boxes, label: PseudoBoxes) -> torch.Tensor:
        """N bool: False for background samples in a region where the teacher was unsure; True (0-dim) where it nowhere was."""
        if not len(label.uncertain):
            return is_object.new_ones(())
        covered = pairwise_ioa(label.uncertain, boxes).amax(dim=0) >= UNCERTAIN_COVER
        return is_object | ~covered


def teacher_weights(is_object: torch.Tensor, boxes: Boxes, instances: Instances) -> torch.Tensor:
    """Score of the best-overlapping pseudo box for foreground samples, the image's mean score for background."""
    matched = pairwise_iou(instances.gt_boxes, boxes).argmax(dim=0)
    return torch.where(is_object, instances.gt_scores[matched], instances.gt_scores.mean())
