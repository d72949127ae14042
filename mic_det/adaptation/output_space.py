"""Adaptation of a segmentor's output: adversarial (AdaptSegNet, CVPR 2018) and by minimal entropy (ADVENT, CVPR 2019)."""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from detectron2.config import CfgNode, configurable
from torch import nn
from torch.func import functional_call

SOURCE, TARGET = 0.0, 1.0
LOSSES: dict[str, Callable[..., torch.Tensor]] = {"ls": F.mse_loss, "vanilla": F.binary_cross_entropy_with_logits}


def mean_entropy(logits: torch.Tensor) -> torch.Tensor:
    """Mean over pixels of the entropy of softmax(logits), NxKxHxW, divided by log K: between 0 and 1."""
    log_probabilities = logits.float().log_softmax(dim=1)
    entropy = -(log_probabilities.exp() * log_probabilities).sum(dim=1)
    return entropy.mean() / math.log(logits.shape[1])


class OutputDiscriminator(nn.Module):
    """Tells source from target by class probabilities (Tsai et al., AdaptSegNet, CVPR 2018, section 4.1)."""

    @configurable
    def __init__(self, num_classes: int, weight: float, loss: str = "ls", width: int = 64) -> None:
        """
        Args:
            num_classes: channels of the input.
            weight: factor on the loss that makes target predictions look like the source's.
            loss: "ls" (least squares) or "vanilla" (cross-entropy).
            width: channels of the first layer; the next have 2, 4 and 8 times as many.
        """
        super().__init__()
        if loss not in LOSSES:
            raise ValueError(f"ADVERSARIAL.LOSS must be one of {', '.join(LOSSES)}, got '{loss}'.")
        channels = (num_classes, width, 2 * width, 4 * width, 8 * width)
        layers = []
        for inputs, outputs in pairwise(channels):
            layers += [nn.Conv2d(inputs, outputs, 4, stride=2, padding=1), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(channels[-1], 1, 4, stride=2, padding=1))
        self.weight = weight
        self.criterion = LOSSES[loss]

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        adversarial = cfg.MODEL.MIC.ADVERSARIAL
        return {
            "num_classes": cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES,
            "weight": adversarial.WEIGHT,
            "loss": adversarial.LOSS,
        }

    def score(self, probabilities: torch.Tensor, domain: float) -> torch.Tensor:
        """Loss of the discriminator's answer on probabilities NxKxHxW against SOURCE or TARGET."""
        answer = self.layers(probabilities)
        return self.criterion(answer, torch.full_like(answer, domain))

    def deception(self, probabilities: torch.Tensor) -> torch.Tensor:
        """The same against SOURCE, with a gradient for the probabilities but none for the discriminator."""
        frozen = {name: value.detach() for name, value in self.layers.named_parameters()}
        answer = functional_call(self.layers, frozen, (probabilities,))
        return self.criterion(answer, torch.full_like(answer, SOURCE))

    def forward(self, source: torch.Tensor, target: torch.Tensor) -> dict[str, torch.Tensor]:
        """Losses of both sides in one pass.

        Args:
            source, target: logits NxKxHxW of the student on both domains.

        Returns:
            {"loss_adversarial": for the student, weighted; "loss_discriminator": for the discriminator alone}.
        """
        source, target = source.float().softmax(dim=1), target.float().softmax(dim=1)
        telling = (self.score(source.detach(), SOURCE) + self.score(target.detach(), TARGET)) / 2
        return {"loss_adversarial": self.weight * self.deception(target), "loss_discriminator": telling}
