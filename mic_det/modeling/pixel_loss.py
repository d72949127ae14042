"""The one loss of segmentation: weighted cross-entropy per pixel."""

import torch
import torch.nn.functional as F

from mic_det.modeling.decode_head.base import resize


def pixel_cross_entropy(
    logits: torch.Tensor,
    labels: torch.Tensor,
    weights: torch.Tensor | None = None,
    ignore_label: int = 255,
    mean_over_ignored: bool = False,
) -> torch.Tensor:
    """Mean of weight times cross-entropy, the logits brought to the labels' size first.

    Args:
        logits: NxKxhxw.
        labels: NxHxW, long; `ignore_label` takes no part.
        weights: NxHxW in [0, 1], not normalised: low quality makes a small loss. None is 1 everywhere.
        mean_over_ignored: also count ignored pixels in the denominator, as the published code does.

    Returns:
        Scalar; 0 when every pixel is ignored.
    """
    losses = F.cross_entropy(resize(logits, labels.shape[-2:]).float(), labels, ignore_index=ignore_label, reduction="none")
    if weights is not None:
        losses = losses * weights
    if mean_over_ignored:
        return losses.mean()
    return losses.sum() / (labels != ignore_label).sum().clamp(min=1)
