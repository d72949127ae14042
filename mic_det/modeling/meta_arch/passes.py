"""The plan of a segmentation step: which images the student is shown one after the other, and what it should say of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import nn


@dataclass(frozen=True)
class Pass:
    """Labelled images on their way through the student.

    Attributes:
        name: "source", "mixed", "masked source" or "masked"; "target" are images that are labelled, but not shown as they are.
        images: normalised, NxCxHxW, as the student sees them.
        labels: NxHxW long.
        weights: NxHxW in [0, 1]; None counts every pixel fully.
        decoder: the one that answers; None for the student's plain one.
        suffix: what the names of its losses end with.
        is_masked: whether parts of the images are removed, so that its losses are those of masked consistency.
        target: normalised images MxCxHxW that go through the student beside these, to adapt its output; None for none.
    """

    name: str
    images: torch.Tensor
    labels: torch.Tensor
    weights: torch.Tensor | None = None
    decoder: nn.Module | None = None
    suffix: str = ""
    is_masked: bool = False
    target: torch.Tensor | None = None

    @property
    def content(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """(images, labels, weights), which are 1 where none are given."""
        weights = torch.ones_like(self.labels, dtype=torch.float32) if self.weights is None else self.weights
        return self.images, self.labels, weights

    def first_half(self) -> Pass:
        """The first half of the images, rounded up."""
        images, labels, weights = (part[: (len(part) + 1) // 2] for part in self.content)
        return replace(self, images=images, labels=labels, weights=weights)

    def joined(self, other: Pass) -> Pass:
        """These images and then another pass's, which have the same size."""
        images, labels, weights = (torch.cat(pair) for pair in zip(self.content, other.content, strict=True))
        return replace(self, images=images, labels=labels, weights=weights)
