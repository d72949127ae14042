"""Distance to ImageNet features, which keeps what thing classes look like (Hoyer et al., DAFormer, CVPR 2022, section 3.3)."""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from detectron2.config import CfgNode, configurable
from torch import nn
from typing_extensions import Self


def majority_labels(
    labels: torch.Tensor, size: Sequence[int], num_classes: int, min_ratio: float, ignore_label: int = 255
) -> torch.Tensor:
    """Labels of coarse cells: the class that fills at least `min_ratio` of a cell, else `ignore_label`.

    Args:
        labels: NxHxW long; values outside the classes count as ignored.
        size: (h, w) of the cells; H / h and W / w are rounded down to the cell's side.
    """
    columns = torch.where(labels < num_classes, labels, num_classes)
    one_hot = F.one_hot(columns, num_classes + 1).permute(0, 3, 1, 2).float()
    side = (labels.shape[1] // size[0], labels.shape[2] // size[1])
    share, winner = F.avg_pool2d(one_hot, side).max(dim=1)
    ignored = (winner == num_classes) | (share < min_ratio)
    return winner.masked_fill(ignored, ignore_label)[:, : size[0], : size[1]]


class FeatureDistance(nn.Module):
    """Mean L2 distance between the encoder's coarsest features and those of its frozen initial weights.

    The copy is made with `start_from` once the student has its ImageNet weights; it is part of the state dict, so that a
    resumed run measures against the same features.
    """

    counts: torch.Tensor  # 256 bool: which labels count

    @configurable
    def __init__(
        self, backbone: nn.Module, weight: float, classes: Sequence[int], num_classes: int, min_ratio: float = 0.75
    ) -> None:
        """
        Args:
            backbone: the student's encoder.
            weight: factor on the distance.
            classes: class indices of the cells that count (things); () counts all cells.
            num_classes: of the labels.
            min_ratio: least share of a cell that its class fills.
        """
        super().__init__()
        self.backbone = copy.deepcopy(backbone).requires_grad_(False).eval()
        self.weight = weight
        self.min_ratio = min_ratio
        self.num_classes = num_classes
        counts = torch.zeros(256, dtype=torch.bool)
        counts[list(classes)] = True
        self.register_buffer("counts", counts, persistent=False)
        self.everywhere = not classes

    @classmethod
    def from_config(cls, cfg: CfgNode, backbone: nn.Module) -> dict[str, Any]:
        distance = cfg.MODEL.MIC.FEATURE_DISTANCE
        return {
            "backbone": backbone,
            "weight": distance.WEIGHT,
            "classes": distance.CLASSES,
            "num_classes": cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES,
            "min_ratio": distance.MIN_RATIO,
        }

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode whatever the parent module does."""
        return super().train(False)

    def start_from(self, backbone: nn.Module) -> None:
        """Measure to the present features of `backbone` from now on."""
        self.backbone.load_state_dict(backbone.state_dict())

    def cells(self, labels: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
        """Bool Nxhxw: which cells count, for labels NxHxW."""
        if self.everywhere:
            return labels.new_ones(len(labels), *size, dtype=torch.bool)
        return self.counts[majority_labels(labels, size, self.num_classes, self.min_ratio)]

    def forward(
        self, features: Mapping[str, torch.Tensor], reference: Mapping[str, torch.Tensor], labels: torch.Tensor
    ) -> torch.Tensor:
        """Weighted scalar distance; 0 where no cell counts.

        Args:
            features, reference: {name: NxCxhxw} of student and frozen encoder; the last map is compared.
            labels: NxHxW.
        """
        own, other = list(features.values())[-1], list(reference.values())[-1]
        cells = self.cells(labels, own.shape[-2:])
        distance = torch.linalg.vector_norm((own - other).float(), dim=1)
        # Not distance[cells]: how many there are is known to the device only.
        return self.weight * (distance * cells).sum() / cells.sum().clamp(min=1)
