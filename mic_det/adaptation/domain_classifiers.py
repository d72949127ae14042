"""Domain classifiers per pyramid and RoI level, and the layer that reverses gradients (SADA, IJCV 2021; DANN, ICML 2015)."""

import torch
from torch import nn


class ScaleGradient(torch.autograd.Function):
    """Identity whose gradient is multiplied by `factor`; a negative one reverses it (Ganin & Lempitsky, ICML 2015)."""

    @staticmethod
    def forward(ctx, values, factor):
        ctx.factor = factor
        return values.view_as(values)

    @staticmethod
    def backward(ctx, gradient):
        return gradient * ctx.factor, None


class ImageClassifiers(nn.Module):
    """One pixel-wise domain classifier per pyramid level (SADA, section 3.2)."""

    def __init__(self, channels, levels, hidden=512):
        super().__init__()
        self.levels = nn.ModuleList(
            nn.Sequential(nn.Conv2d(channels, hidden, 1), nn.ReLU(inplace=True), nn.Conv2d(hidden, 1, 1)) for _ in range(levels)
        )
        initialise(self, std=0.001)

    def forward(self, maps):
        """L maps NxCxHxW -> L logit maps Nx1xHxW; positive means source."""
        return [classifier(values) for classifier, values in zip(self.levels, maps, strict=True)]


class InstanceClassifiers(nn.Module):
    """One domain classifier of box features per RoI level (SADA, section 3.3)."""

    def __init__(self, features, levels, hidden=1024, level_zero_only=False):
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

    def forward(self, features, levels):
        """RxD features and R level indices -> R logits; positive means source."""
        if self.level_zero_only:
            return torch.where(levels == 0, self.levels[0](features)[:, 0], 0.0)
        # Every classifier sees all features and the right one is picked: cheaper than making the host wait for a selection.
        return torch.cat([classifier(features) for classifier in self.levels], dim=1).gather(1, levels[:, None])[:, 0]


def initialise(module, std):
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.normal_(layer.weight, std=std)
            nn.init.zeros_(layer.bias)
