"""Masked image consistency (Hoyer et al., MIC, CVPR 2023, equations 3-6): the one object that every task shares."""

from detectron2.config import configurable

from .masking import BlockMask
from .photometric import PhotometricAugmentation


class MaskedConsistency:
    """Shows the student an image with parts removed and asks for what the teacher saw in the complete one."""

    @configurable
    def __init__(self, mask, augment=None, loss_weight=1.0):
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
    def from_config(cls, cfg):
        augment = PhotometricAugmentation(cfg)
        return {
            "mask": BlockMask(cfg),
            "augment": augment if augment.changes and cfg.MODEL.MIC.MASK.AUGMENT else None,
            "loss_weight": cfg.MODEL.MIC.LOSS_WEIGHT,
        }

    def view(self, images):
        """What the student sees: (augmented and masked images, removed share)."""
        return self.mask(self.augment(images) if self.augment else images)

    def weigh(self, losses):
        """Name and weight the student's losses on a view."""
        return {f"{name}_mask": self.loss_weight * loss for name, loss in losses.items()}

    def __call__(self, images, student_losses):
        """Return (losses named `*_mask` and weighted, removed share).

        Args:
            images: normalised target images, NxCxHxW.
            student_losses: callable from the student's view of them to a dict of losses against the pseudo-labels.
        """
        view, removed = self.view(images)
        return self.weigh(student_losses(view)), removed
