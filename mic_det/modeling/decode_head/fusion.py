"""Modules that give a map of features its context: dilated pyramids and interlaced self-attention."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from detectron2.layers import DepthwiseSeparableConv2d
from torch import nn

from .base import conv_norm_act, resize


class ASPP(nn.Module):
    """Atrous spatial pyramid pooling (Chen et al., DeepLabV3, 2017): parallel dilated branches, then a 3x3 convolution.

    Unlike detectron2's, image pooling can be left out and the branches are joined by a 3x3 convolution, as in DAFormer.
    """

    def __init__(
        self,
        in_channels: int,
        channels: int,
        dilations: Sequence[int] = (1, 6, 12, 18),
        separable: bool = True,
        image_pool: bool = False,
        norm: str = "BN",
    ) -> None:
        """
        Args:
            in_channels, channels: of input and output.
            dilations: one branch each; 1 is a 1x1 convolution.
            separable: depthwise-separable dilated branches.
            image_pool: add a branch with the image's mean (DeepLabV3+).
        """
        super().__init__()
        self.branches = nn.ModuleList(
            conv_norm_act(in_channels, channels, 1, norm)
            if dilation == 1
            else dilated_branch(in_channels, channels, dilation, separable, norm)
            for dilation in dilations
        )
        self.image_pool = conv_norm_act(in_channels, channels, 1, norm) if image_pool else None
        self.bottleneck = conv_norm_act((len(dilations) + image_pool) * channels, channels, 3, norm)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """NxCxHxW -> Nx`channels`xHxW."""
        outputs = [branch(features) for branch in self.branches]
        if self.image_pool is not None:
            pooled = self.image_pool(F.adaptive_avg_pool2d(features, 1))
            outputs.insert(0, resize(pooled, features.shape[-2:]))
        return self.bottleneck(torch.cat(outputs, dim=1))


def dilated_branch(in_channels: int, channels: int, dilation: int, separable: bool, norm: str) -> nn.Module:
    """A 3x3 convolution with holes, depthwise-separable or full, that keeps the size."""
    if separable:
        return separable_conv(in_channels, channels, dilation, norm)
    return conv_norm_act(in_channels, channels, 3, norm, dilation)


def separable_conv(in_channels: int, channels: int, dilation: int = 1, norm: str = "BN") -> DepthwiseSeparableConv2d:
    """Depthwise 3x3 and pointwise convolution, normalisation and ReLU after each; keeps the size."""
    return DepthwiseSeparableConv2d(
        in_channels,
        channels,
        padding=dilation,
        dilation=dilation,
        norm1=norm,
        norm2=norm,
        activation1=F.relu,
        activation2=F.relu,
    )


class InterlacedSelfAttention(nn.Module):
    """Self-attention among distant, then among neighbouring cells (Huang et al., Interlaced Sparse Self-Attention, 2019)."""

    def __init__(self, in_channels: int, channels: int, block: int = 8, norm: str = "BN") -> None:
        """
        Args:
            block: side in cells of the neighbourhoods.
        """
        super().__init__()
        self.block = block
        self.reduce = conv_norm_act(in_channels, channels, 1, norm)
        self.far = SelfAttention(channels, norm)
        self.near = SelfAttention(channels, norm)
        self.project = conv_norm_act(2 * channels, channels, 1, norm)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """NxCxHxW -> Nx`channels`xHxW; borders are padded to whole neighbourhoods inside."""
        reduced = self.reduce(features)
        height, width = reduced.shape[-2:]
        maps = F.pad(reduced, (0, -width % self.block, 0, -height % self.block))
        count, channels, high, wide = maps.shape
        rows, columns = high // self.block, wide // self.block
        # Cells with the same place in their block see each other, then the cells of one block.
        maps = maps.view(count, channels, rows, self.block, columns, self.block)
        maps = maps.permute(0, 3, 5, 1, 2, 4).reshape(-1, channels, rows, columns)
        maps = self.far(maps).view(count, self.block, self.block, channels, rows, columns)
        maps = maps.permute(0, 4, 5, 3, 1, 2).reshape(-1, channels, self.block, self.block)
        maps = self.near(maps).view(count, rows, columns, channels, self.block, self.block)
        maps = maps.permute(0, 3, 1, 4, 2, 5).reshape(count, channels, high, wide)[..., :height, :width]
        return self.project(torch.cat([maps, reduced], dim=1))


class SelfAttention(nn.Module):
    """Dot-product attention of all cells of a map, one head."""

    def __init__(self, channels: int, norm: str = "BN") -> None:
        super().__init__()
        self.query, self.key, self.value = (conv_norm_act(channels, channels, 1, norm) for _ in range(3))

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """NxCxHxW -> NxCxHxW."""
        tokens = (layer(maps).flatten(2).transpose(1, 2) for layer in (self.query, self.key, self.value))
        return F.scaled_dot_product_attention(*tokens).transpose(1, 2).reshape(maps.shape)
