"""Masked image consistency (Hoyer et al., MIC, CVPR 2023, equations 3-6): the one object that every task shares.

A step asks it twice: for the `view` of images that the teacher has labelled, and, once the student has answered, to `weigh` the
losses against those labels.
"""

from collections.abc import Callable, Collection
from typing import Any

import torch
from detectron2.config import CfgNode, configurable

from .masking import BlockMask
from .photometric import PhotometricAugmentation


class MaskedConsistency:
    """Shows the student an image with parts removed and asks for what the teacher saw in the complete one."""

    @configurable
    def __init__(
        self,
        mask: Callable[[torch.Tensor], tuple[torch.Tensor, torch.Tensor]],
        augment: Callable[[torch.Tensor], torch.Tensor] | None = None,
        loss_weight: float = 1.0,
    ) -> None:
        """
        Args:
            mask: callable on normalised images NxCxHxW that returns (masked images, removed share).
            augment: callable on normalised images, applied before the mask; None for none.
            loss_weight: factor on every loss (lambda in equation 6).
        """
        self.mask = mask
        self.augment = augment
        self.loss_weight = loss_weight

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        augment = PhotometricAugmentation(cfg)
        return {
            "mask": BlockMask(cfg),
            "augment": augment if augment.changes and cfg.MODEL.MIC.MASK.AUGMENT else None,
            "loss_weight": cfg.MODEL.MIC.LOSS_WEIGHT,
        }

    def view(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """What the student sees of normalised images NxCxHxW (equation 4): (augmented, masked ones; removed share in [0, 1])."""
        return self.mask(self.augment(images) if self.augment else images)

    def weigh(
        self, losses: dict[str, torch.Tensor], suffix: str = "_mask", unweighted: Collection[str] = ()
    ) -> dict[str, torch.Tensor]:
        """Name and weight the student's losses on a view (equation 6).

        Args:
            losses: {name: scalar}.
            suffix: what is added to every name.
            unweighted: names of losses that keep their size.
        """
        return {f"{name}{suffix}": loss if name in unweighted else self.loss_weight * loss for name, loss in losses.items()}
