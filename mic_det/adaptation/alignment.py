"""Adversarial feature alignment by domain classifiers per level (Chen et al., SADA, IJCV 2021; DA Faster R-CNN, CVPR 2018)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from detectron2.config import CfgNode, configurable
from detectron2.modeling.poolers import ROIPooler, assign_boxes_to_levels
from detectron2.structures import Boxes, ImageList
from torch import nn

from .domain_classifiers import ImageClassifiers, InstanceClassifiers, ScaleGradient

SOURCE, TARGET = 1.0, 0.0  # domain labels
CONSISTENCY_GRID = 7  # bins per side when an image-level map is averaged over a box


@dataclass
class DomainFeatures:
    """What a student computed on the images of one domain.

    Attributes:
        images: ImageList of N images.
        maps: feature maps NxCxHxW, one per pyramid level, finest first.
        boxes: N Boxes, the sampled regions; None for a student without regions.
        instances: RxD box features of all regions, in the order of `boxes`; None likewise.
    """

    images: ImageList
    maps: list[torch.Tensor]
    boxes: list[Boxes] | None = None
    instances: torch.Tensor | None = None

    def valid(self) -> torch.Tensor:
        """Nx1xHxW bool at the finest level: False where an image is only padding."""
        height, width = self.maps[0].shape[-2:]
        sizes = torch.tensor(self.images.image_sizes, device=self.maps[0].device)
        limits = sizes * torch.tensor([height, width], device=sizes.device)
        padded = torch.tensor(self.images.tensor.shape[-2:], device=sizes.device)
        # A cell counts when its upper left corner lies in the image.
        rows = torch.arange(height, device=sizes.device) * padded[0] < limits[:, :1]
        columns = torch.arange(width, device=sizes.device) * padded[1] < limits[:, 1:]
        return (rows[:, :, None] & columns[:, None, :])[:, None]


class FeatureAlignment(nn.Module):
    """Makes the features of both domains indistinguishable to domain classifiers (SADA, equations 1-6).

    The classifiers learn from the full gradient; what reaches the student's features is scaled: reversed by
    `image_gradient` and `instance_gradient` for the two adversarial losses, and not reversed but multiplied by
    `consistency_gradient` times those for the consistency between image- and instance-level predictions.
    """

    @configurable
    def __init__(
        self,
        image_classifiers: ImageClassifiers,
        instance_classifiers: InstanceClassifiers | None = None,
        box_pooler: ROIPooler | None = None,
        *,
        weights: Sequence[float] = (1.0, 1.0, 1.0),
        image_gradient: float = 0.025,
        instance_gradient: float = 0.1,
        consistency_gradient: float = 0.1,
        include_padding: bool = False,
    ) -> None:
        """
        Args:
            image_classifiers: ImageClassifiers.
            instance_classifiers: InstanceClassifiers, or None for a student without regions.
            box_pooler: ROIPooler of the RoI levels, which tells a box's level.
            weights: factors of the image, instance and consistency losses; what has 0 is not computed.
            image_gradient, instance_gradient: strength of the gradient reversal.
            consistency_gradient: factor on both for the consistency loss.
            include_padding: also classify the padding of images, as the published code does.
        """
        super().__init__()
        self.image_classifiers = image_classifiers
        self.instance_classifiers = instance_classifiers
        self.pooler: ROIPooler = box_pooler  # None without regions, where nobody asks for it
        self.image_weight, self.instance_weight, self.consistency_weight = weights
        self.image_gradient = image_gradient
        self.instance_gradient = instance_gradient
        self.consistency_gradient = consistency_gradient
        self.include_padding = include_padding

    @classmethod
    def from_config(
        cls, cfg: CfgNode, channels: int, levels: int, instance_features: int | None = None, box_pooler: ROIPooler | None = None
    ) -> dict[str, Any]:
        """
        Args:
            channels, levels: of the student's feature maps.
            instance_features: size of a box feature; None without regions.
            box_pooler: the student's ROIPooler.
        """
        align, reference = cfg.MODEL.MIC.ALIGN, cfg.MODEL.MIC.REFERENCE
        weights = [align.IMAGE_WEIGHT, align.INSTANCE_WEIGHT, align.CONSISTENCY_WEIGHT]
        arguments: dict[str, Any] = {"image_classifiers": ImageClassifiers(channels, levels, align.IMAGE_DIM)}
        if instance_features is None or box_pooler is None:
            weights[1:] = [0.0, 0.0]
        else:
            scales = [pooler.spatial_scale for pooler in box_pooler.level_poolers]
            arguments["instance_classifiers"] = InstanceClassifiers(
                instance_features, len(scales), align.INSTANCE_DIM, reference.INSTANCE_LEVEL_ZERO_ONLY
            )
            arguments["box_pooler"] = ROIPooler(
                *(CONSISTENCY_GRID, scales, 2, "ROIAlign"), box_pooler.canonical_box_size, box_pooler.canonical_level
            )
        return {
            **arguments,
            "weights": weights,
            "image_gradient": align.IMAGE_GRADIENT,
            "instance_gradient": align.INSTANCE_GRADIENT,
            "consistency_gradient": align.CONSISTENCY_GRADIENT,
            "include_padding": reference.ALIGN_PADDING,
        }

    def forward(self, source: DomainFeatures, target: DomainFeatures) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        """Return (losses, diagnostics) for the DomainFeatures of both domains.

        Losses: "loss_align_image", "loss_align_instance", "loss_align_consistency", weighted. Diagnostics: the share of
        pixels and RoIs whose domain the classifiers tell right, 0.5 when they are at a loss, as 0-dim tensors.
        """
        losses, diagnostics = {}, {}
        if self.image_weight > 0:
            loss, accuracy = self.image_loss(source, target)
            losses["loss_align_image"] = self.image_weight * loss
            diagnostics["align_image_accuracy"] = accuracy
        if self.instance_weight > 0:
            loss, accuracy = self.instance_loss(source, target)
            losses["loss_align_instance"] = self.instance_weight * loss
            diagnostics["align_instance_accuracy"] = accuracy
        if self.consistency_weight > 0:
            losses["loss_align_consistency"] = self.consistency_weight * self.consistency_loss(source, target)
        return losses, diagnostics

    def image_logits(self, domain: DomainFeatures, gradient: float) -> list[torch.Tensor]:
        """Logit maps Nx1xHxW per level; what reaches the features is `gradient` times their gradient."""
        return self.image_classifiers([ScaleGradient.apply(values, gradient) for values in domain.maps])

    def instance_logits(self, domain: DomainFeatures, gradient: float) -> torch.Tensor:
        """Logits R of all regions, of the classifier of each one's level; `gradient` as in `image_logits`."""
        assert self.instance_classifiers is not None, "a student without regions has no instance losses"
        levels = assign_boxes_to_levels(
            domain.boxes,
            self.pooler.min_level,
            self.pooler.max_level,
            self.pooler.canonical_box_size,
            self.pooler.canonical_level,
        )
        return self.instance_classifiers(ScaleGradient.apply(domain.instances, gradient), levels)

    def image_loss(self, source: DomainFeatures, target: DomainFeatures) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean cross-entropy over the pixels of all levels, each level enlarged to the finest one, and the accuracy."""
        total, correct, count = source.maps[0].new_zeros(3, dtype=torch.float32)
        for domain, label in ((source, SOURCE), (target, TARGET)):
            size = domain.maps[0].shape[-2:]
            logits = torch.cat(
                [
                    F.interpolate(level.float(), size, mode="bilinear", align_corners=True)
                    for level in self.image_logits(domain, -self.image_gradient)
                ],
                dim=1,
            )
            valid = logits.new_ones(()) if self.include_padding else domain.valid().to(logits.dtype)
            valid = valid.expand_as(logits)
            total = total + (valid * cross_entropy(logits, label)).sum()
            correct = correct + (valid * is_right(logits, label)).sum()
            count = count + valid.sum()
        return total / count, correct / count

    def instance_loss(self, source: DomainFeatures, target: DomainFeatures) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean cross-entropy over all regions, and the accuracy."""
        losses, right = [], []
        for domain, label in ((source, SOURCE), (target, TARGET)):
            logits = self.instance_logits(domain, -self.instance_gradient).float()
            losses.append(cross_entropy(logits, label))
            right.append(is_right(logits, label))
        return torch.cat(losses).mean(), torch.cat(right).mean()

    def consistency_loss(self, source: DomainFeatures, target: DomainFeatures) -> torch.Tensor:
        """Mean distance between a region's probability of being source and that of the image pixels below it."""
        differences = []
        for domain in (source, target):
            maps = self.image_logits(domain, self.image_gradient * self.consistency_gradient)
            maps = [level.float().sigmoid() for level in maps[: len(self.pooler.level_poolers)]]
            below = self.pooler(maps, domain.boxes).mean(dim=(1, 2, 3))
            own = self.instance_logits(domain, self.instance_gradient * self.consistency_gradient).float().sigmoid()
            differences.append((below - own).abs())
        return torch.cat(differences).mean()


def cross_entropy(logits: torch.Tensor, label: float) -> torch.Tensor:
    """Binary cross-entropy of every logit against one domain label, in the logits' shape."""
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, label), reduction="none")


def is_right(logits: torch.Tensor, label: float) -> torch.Tensor:
    """1.0 where a logit's sign tells the domain, else 0.0, in the logits' shape."""
    return ((logits.detach() > 0) == (label == SOURCE)).float()
