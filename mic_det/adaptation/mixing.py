"""ClassMix: half of a source image's classes pasted onto a target image (Olsson et al., WACV 2021; DACS, WACV 2021)."""

from typing import TypeAlias

import torch

LabelledImages: TypeAlias = tuple[torch.Tensor, torch.Tensor, torch.Tensor]  # images NxCxHxW, labels NxHxW, weights NxHxW


def present_classes(labels: torch.Tensor, num_classes: int) -> torch.Tensor:
    """Bool tensor (..., num_classes) of the classes in labels (..., H, W); other values are not looked at."""
    flat = labels.flatten(-2)
    # One extra column takes the values outside the range, so that nothing is asked of the device.
    columns = torch.where((flat >= 0) & (flat < num_classes), flat, num_classes)
    found = torch.zeros(*flat.shape[:-1], num_classes + 1, dtype=torch.bool, device=labels.device)
    return found.scatter_(-1, columns, torch.ones_like(columns, dtype=torch.bool))[..., :num_classes]


def choose_half(present: torch.Tensor) -> torch.Tensor:
    """A random half, rounded up, of the true entries of each row of N bool vectors."""
    order = torch.rand(present.shape, device=present.device).masked_fill(~present, 2.0).argsort(dim=-1)
    rank = order.argsort(dim=-1)
    return present & (rank < (present.sum(dim=-1, keepdim=True) + 1) // 2)


class ClassMix:
    """Pastes the pixels of randomly chosen source classes, and their labels, onto target images with pseudo-labels."""

    def __init__(self, num_classes: int, batch_classes: bool = False, ignore_label: int = 255) -> None:
        """
        Args:
            num_classes: labels are below this, or `ignore_label`.
            batch_classes: choose from the classes of the whole source batch, the ignored label among them, instead of
                those of the image alone (published).
            ignore_label: label of pixels without a class.
        """
        self.num_classes = num_classes
        self.batch_classes = batch_classes
        self.ignore_label = ignore_label

    def choose(self, labels: torch.Tensor) -> torch.Tensor:
        """Bool NxHxW: the source pixels to paste, of labels NxHxW."""
        count = self.num_classes + 1
        indices = torch.where(labels == self.ignore_label, self.num_classes, labels)
        present = present_classes(indices, count)
        if self.batch_classes:
            present = present.any(dim=0, keepdim=True).expand(len(labels), -1)
        else:
            present[:, self.num_classes] = False
        return choose_half(present).gather(1, indices.flatten(1)).view(labels.shape)

    def __call__(self, source: LabelledImages, target: LabelledImages) -> LabelledImages:
        """Mix pairs of (images NxCxHxW, labels NxHxW, weights NxHxW) by position; returns another such triple.

        Pasted pixels have the source's label and weight.

        Raises:
            ValueError: when there are not as many source as target images.
        """
        if len(source[1]) != len(target[1]):
            raise ValueError(f"ClassMix pairs source and target images, but got {len(source[1])} and {len(target[1])} of them.")
        pasted = self.choose(source[1])
        image_mask = pasted[:, None]
        images = torch.where(image_mask, source[0], target[0])
        labels, weights = (torch.where(pasted, own, other) for own, other in zip(source[1:], target[1:], strict=True))
        return images, labels, weights
