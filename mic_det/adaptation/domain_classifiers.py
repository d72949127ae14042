"""Domain classifiers per pyramid and RoI level, and the layer that reverses gradients (SADA, IJCV 2021; DANN, ICML 2015)."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn


class ScaleGradient(torch.autograd.Function):
    """Identity whose gradient is multiplied by `factor`; a negative one reverses it (Ganin & Lempitsky, ICML 2015)."""

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, factor: float) -> torch.Tensor:
        """Any shape -> the same values."""
        ctx.factor = factor
        return values.view_as(values)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        """`factor` times the gradient, and none for `factor`."""
        return gradient * ctx.factor, None


class ImageClassifiers(nn.Module):
    """One pixel-wise domain classifier per pyramid level (SADA, section 3.2)."""

    def __init__(self, channels: int, levels: int, hidden: int = 512) -> None:
        """
        Args:
            channels, levels: C and L of the feature maps.
            hidden: channels between the two 1x1 convolutions.
        """
        super().__init__()
        self.levels = nn.ModuleList(
            nn.Sequential(nn.Conv2d(channels, hidden, 1), nn.ReLU(inplace=True), nn.Conv2d(hidden, 1, 1)) for _ in range(levels)
        )
        initialise(self, std=0.001)

    def forward(self, maps: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """L maps NxCxHxW -> L logit maps Nx1xHxW; positive means source."""
        return [classifier(values) for classifier, values in zip(self.levels, maps, strict=True)]


class InstanceClassifiers(nn.Module):
    """One domain classifier of box features per RoI level (SADA, section 3.3)."""

    def __init__(self, features: int, levels: int, hidden: int = 1024, level_zero_only: bool = False) -> None:
        """
        Args:
            level_zero_only: classify only RoIs of the finest level and give the others logit 0, as the published code does.
        """
        super().__init__()
        self.levels = nn.ModuleList(
            nn.Sequential(
                *(nn.Linear(features, hidden), nn.ReLU(inplace=True), nn.Dropout(0.5)),
                *(nn.Linear(hidden, hidden), nn.ReLU(inplace=True), nn.Dropout(0.5)),
                nn.Linear(hidden, 1),
            )
            for _ in range(levels)
        )
        self.level_zero_only = level_zero_only
        initialise(self, std=0.01)

    def forward(self, features: torch.Tensor, levels: torch.Tensor) -> torch.Tensor:
        """RxD features and R level indices -> R logits; positive means source."""
        if self.level_zero_only:
            return torch.where(levels == 0, self.levels[0](features)[:, 0], 0.0)
        # Every classifier sees all features and the right one is picked: cheaper than making the host wait for a selection.
        return torch.cat([classifier(features) for classifier in self.levels], dim=1).gather(1, levels[:, None])[:, 0]


def initialise(module: nn.Module, std: float) -> None:
    """Normal weights of standard deviation `std` and biases 0, in all convolutions and linear layers of a module."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.normal_(layer.weight, std=std)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
