"""Conditional adversarial alignment (Long et al., CDAN, NeurIPS 2018): domains are told apart by features and predictions."""

import math
from typing import Any

import torch
import torch.nn.functional as F
from detectron2.config import CfgNode, configurable
from torch import nn

from .class_confusion import certainty
from .domain_classifiers import ScaleGradient


class ConditionalAlignment(nn.Module):
    """Makes the outer product of a network's features and class probabilities the same for both domains.

    The discriminator learns at full strength; the features get its gradient reversed and scaled. The probabilities are taken
    as they are: no gradient reaches the network through them.
    """

    @configurable
    def __init__(
        self,
        features: int,
        num_classes: int,
        weight: float = 1.0,
        hidden: int = 1024,
        ramp: float = 1000,
        entropy_weighting: bool = False,
    ) -> None:
        """
        Args:
            features: D, size of a feature vector.
            num_classes: K; the discriminator's input has D * K numbers.
            weight: factor on the loss.
            hidden: units of its two layers.
            ramp: iterations after which the reversed gradient has 0.46 of its strength.
            entropy_weighting: certain samples count more (CDAN+E), with weights of mean 1 over both domains together. MIC's code
                computes them so and does not use them; the authors' first code had mean 1 in each domain.
        """
        super().__init__()
        if ramp <= 0:
            raise ValueError(f"CDAN's ramp must be positive, got {ramp}.")
        self.discriminator = nn.Sequential(
            *(nn.Linear(features * num_classes, hidden), nn.BatchNorm1d(hidden), nn.ReLU(inplace=True)),
            *(nn.Linear(hidden, hidden), nn.BatchNorm1d(hidden), nn.ReLU(inplace=True)),
            nn.Linear(hidden, 1),
        )
        self.weight = weight
        self.ramp = ramp
        self.entropy_weighting = entropy_weighting

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        cdan = cfg.MODEL.MIC.CDAN
        return {
            "features": cfg.MODEL.CLASSIFIER.BOTTLENECK_DIM,
            "num_classes": cfg.MODEL.CLASSIFIER.NUM_CLASSES,
            "weight": cdan.WEIGHT,
            "hidden": cdan.HIDDEN_DIM,
            "ramp": cdan.RAMP_ITERS,
            "entropy_weighting": cdan.ENTROPY_WEIGHTING,
        }

    def reversal_strength(self, iteration: int) -> float:
        """2 / (1 + exp(-iteration / ramp)) - 1: from 0 to 1 (Ganin & Lempitsky, ICML 2015; the published ramp is 1000)."""
        return 2 / (1 + math.exp(-iteration / self.ramp)) - 1

    def forward(
        self, logits: torch.Tensor, features: torch.Tensor, sources: int, reversal: float
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (weighted scalar loss, share of samples whose domain is told right as a 0-dim tensor).

        Args:
            logits: NxK of both domains, the source first.
            features: NxD.
            sources: number of source samples; their domain label is 1.
            reversal: strength of the reversed gradient, see `reversal_strength`.
        """
        probabilities = logits.detach().float().softmax(dim=1)
        joint = (probabilities[:, :, None] * features.float()[:, None, :]).flatten(1)
        answers = self.discriminator(ScaleGradient.apply(joint, -reversal))[:, 0].float()
        domains = torch.zeros_like(answers)
        domains[:sources] = 1
        weights = certainty(probabilities) if self.entropy_weighting else None
        loss = F.binary_cross_entropy_with_logits(answers, domains, weights)
        right = ((answers.detach() > 0) == (domains > 0)).float().mean()
        return self.weight * loss, right
