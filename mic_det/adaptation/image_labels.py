"""Teacher logits per image -> class labels with a quality (Hoyer et al., MIC, CVPR 2023, equations 4 and 5)."""

from typing import Any

import torch
from detectron2.config import CfgNode, configurable

from mic_det.errors import UserError

WEIGHTS = ("teacher_score", "none")


class ImagePseudoLabels:
    """Every image gets the teacher's class; how much it counts is the teacher's probability of it. There is no threshold."""

    @configurable
    def __init__(self, weight: str = "teacher_score") -> None:
        """
        Args:
            weight: "teacher_score", or "none" for 1.
        """
        if weight not in WEIGHTS:
            raise UserError(f"MODEL.MIC.PSEUDO_LABELS.WEIGHT must be one of {', '.join(WEIGHTS)}, got '{weight}'.")
        self.weight = weight

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        return {"weight": cfg.MODEL.MIC.PSEUDO_LABELS.WEIGHT}

    def __call__(self, logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits NxK -> (labels N, weights N in [0, 1])."""
        confidence, labels = logits.float().softmax(dim=1).max(dim=1)
        return labels, confidence if self.weight == "teacher_score" else torch.ones_like(confidence)
