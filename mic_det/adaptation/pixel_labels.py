"""Teacher scores per pixel -> labels with a quality (Tranheden et al., DACS, WACV 2021; MIC, CVPR 2023, equation 5)."""

from typing import Any

import torch
from detectron2.config import CfgNode, configurable


class PixelPseudoLabels:
    """Every pixel gets the teacher's class; how much it counts is the share of confident pixels in its image."""

    @configurable
    def __init__(self, threshold: float, batch_quality: bool = False) -> None:
        """
        Args:
            threshold: least probability of a confident pixel, in [0, 1]; 0 makes every weight 1.
            batch_quality: one quality for the whole batch instead of one per image (published).
        """
        if not 0 <= threshold <= 1:
            raise ValueError(f"The pseudo-label threshold must lie in [0, 1], got {threshold}.")
        self.threshold = threshold
        self.batch_quality = batch_quality

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        return {
            "threshold": cfg.MODEL.MIC.PSEUDO_LABELS.THRESHOLD,
            "batch_quality": cfg.MODEL.MIC.REFERENCE.BATCH_QUALITY,
        }

    def __call__(
        self, logits: torch.Tensor, valid: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Label logits NxKxHxW.

        Args:
            valid: bool NxHxW; where it is False (the dataset's margins) the weight is 0. It does not change the quality.

        Returns:
            (labels NxHxW long, weights NxHxW in [0, 1], qualities N in [0, 1]).
        """
        confidence, labels = logits.softmax(dim=1).max(dim=1)
        confident = (confidence >= self.threshold).float()
        quality = confident.mean() if self.batch_quality else confident.mean(dim=(1, 2), keepdim=True)
        weights = quality.expand_as(confidence)
        return labels, weights if valid is None else weights * valid, weights[:, 0, 0]


def class_shares(labels: torch.Tensor, num_classes: int) -> torch.Tensor:
    """Shares of the pixels, in [0, 1], that each class has in labels NxHxW: K numbers, counted without waiting for the device."""
    labels = labels.flatten()
    counts = torch.zeros(num_classes, dtype=torch.long, device=labels.device)
    return counts.scatter_add_(0, labels, torch.ones_like(labels)) / labels.numel()
