"""An image classification network: encoder, bottleneck and a linear classifier."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from detectron2.config import CfgNode, configurable
from detectron2.modeling import META_ARCH_REGISTRY, Backbone, build_backbone
from torch import nn


@dataclass
class Classification:
    """What a classification network computed on N images.

    Attributes:
        logits: NxK.
        features: NxD, the bottleneck's output.
    """

    logits: torch.Tensor
    features: torch.Tensor


@META_ARCH_REGISTRY.register()
class ImageClassifier(nn.Module):
    """The student of classification. In training `forward` gives losses on labelled samples, in evaluation class `scores`.

    The bottleneck is what adversarial methods align (Long et al., CDAN, NeurIPS 2018).
    """

    pixel_mean: torch.Tensor
    pixel_std: torch.Tensor

    @configurable
    def __init__(
        self, backbone: Backbone, num_classes: int, bottleneck_dim: int, pixel_mean: Sequence[float], pixel_std: Sequence[float]
    ) -> None:
        """
        Args:
            backbone: detectron2 Backbone with one output, NxC (global average or class token).
            num_classes: K.
            bottleneck_dim: D.
            pixel_mean, pixel_std: per channel, on the 0..255 scale.
        """
        super().__init__()
        self.backbone = backbone
        (shape,) = backbone.output_shape().values()
        self.bottleneck = nn.Sequential(
            nn.Linear(shape.channels, bottleneck_dim), nn.BatchNorm1d(bottleneck_dim), nn.ReLU(inplace=True)
        )
        self.classifier = nn.Linear(bottleneck_dim, num_classes)
        self.register_buffer("pixel_mean", torch.tensor(pixel_mean).view(-1, 1, 1), False)
        self.register_buffer("pixel_std", torch.tensor(pixel_std).view(-1, 1, 1), False)

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        return {
            "backbone": build_backbone(cfg),
            "num_classes": cfg.MODEL.CLASSIFIER.NUM_CLASSES,
            "bottleneck_dim": cfg.MODEL.CLASSIFIER.BOTTLENECK_DIM,
            "pixel_mean": cfg.MODEL.PIXEL_MEAN,
            "pixel_std": cfg.MODEL.PIXEL_STD,
        }

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.pixel_mean.device

    def preprocess_image(self, samples: list[dict]) -> torch.Tensor:
        """Normalise samples' "image" (CxHxW, all of one size): NxCxHxW."""
        images = torch.stack([sample["image"].to(self.device, non_blocking=True) for sample in samples])
        return (images - self.pixel_mean) / self.pixel_std

    def labels(self, samples: list[dict]) -> torch.Tensor:
        """Samples' "label" as N long."""
        return torch.tensor([sample["label"] for sample in samples], device=self.device)

    def observe(self, images: torch.Tensor) -> Classification:
        """Classification of normalised images NxCxHxW."""
        (pooled,) = self.backbone(images).values()
        features = self.bottleneck(pooled)
        return Classification(self.classifier(features), features)

    def predict(self, images: torch.Tensor) -> torch.Tensor:
        """Logits NxK of normalised images, for the teacher and for inference."""
        return self.observe(images).logits

    def forward(self, samples: list[dict]) -> dict[str, torch.Tensor] | list[dict[str, torch.Tensor]]:
        """{"loss_cls": scalar} in training; in evaluation {"scores": K probabilities} per sample."""
        images = self.preprocess_image(samples)
        if self.training:
            return {"loss_cls": F.cross_entropy(self.predict(images).float(), self.labels(samples))}
        return [{"scores": scores} for scores in self.predict(images).float().softmax(dim=1)]
