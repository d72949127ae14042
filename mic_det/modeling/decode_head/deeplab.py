"""DeepLabV2 and DeepLabV3+ decoders as the domain-adaptation literature uses them."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from detectron2.modeling import SEM_SEG_HEADS_REGISTRY
from torch import nn
from typing_extensions import Self

from .base import DecodeHead, conv_norm_act, initialise, resize, select_features
from .fusion import ASPP, separable_conv


@SEM_SEG_HEADS_REGISTRY.register()
class DeepLabV2Head(nn.Module):
    """Sum of dilated 3x3 classifiers on the coarsest map (Chen et al., DeepLab, TPAMI 2018).

    Domain adaptation uses the dilations (6, 12), which AdaptSegNet's (Tsai et al., CVPR 2018) code ran with, instead of four.
    """

    @configurable
    def __init__(self, input_shape: Mapping[str, ShapeSpec], num_classes: int, dilations: Sequence[int] = (6, 12)) -> None:
        """
        Args:
            input_shape: {feature name: ShapeSpec}; the last is used.
            num_classes: K.
            dilations: one classifier each.
        """
        super().__init__()
        self.in_feature, shape = list(input_shape.items())[-1]
        self.stride = shape.stride
        branches = [nn.Conv2d(shape.channels, num_classes, 3, padding=rate, dilation=rate) for rate in dilations]
        for branch in branches:
            initialise(branch)
        self.branches = nn.ModuleList(branches)

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: Mapping[str, ShapeSpec]) -> dict[str, Any]:
        head = cfg.MODEL.SEM_SEG_HEAD
        return {
            "input_shape": select_features(cfg, input_shape),
            "num_classes": head.NUM_CLASSES,
            "dilations": head.DILATIONS,
        }

    @classmethod
    def scale_attention(cls, cfg: CfgNode, input_shape: Mapping[str, ShapeSpec], outputs: int) -> Self:
        """See DecodeHead.scale_attention."""
        return cls(**{**cls.from_config(cfg, input_shape), "num_classes": outputs})

    def forward(self, features: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """{name: NxCxHxW} -> logits NxKxhxw at `stride`."""
        return sum(branch(features[self.in_feature]) for branch in self.branches)


@SEM_SEG_HEADS_REGISTRY.register()
class DepthwiseSeparableASPPHead(DecodeHead):
    """DeepLabV3+ (Chen et al., ECCV 2018): separable ASPP with image pooling, refined by the finest map."""

    @configurable
    def __init__(
        self,
        input_shape: Mapping[str, ShapeSpec],
        channels: int,
        num_classes: int,
        dilations: Sequence[int] = (1, 12, 24, 36),
        low_level: int = 48,
        dropout: float = 0.1,
        norm: str = "BN",
    ) -> None:
        """
        Args:
            dilations: of the pyramid's branches.
            low_level: channels that the finest map is reduced to.

        Other arguments as in DecodeHead; the first map is the finest, the last is the one with context.
        """
        super().__init__(input_shape, channels, num_classes, dropout, norm)
        self.aspp = ASPP(self.in_channels[-1], channels, dilations, image_pool=True, norm=norm)
        self.low_level = conv_norm_act(self.in_channels[0], low_level, 1, norm)
        self.refine = nn.Sequential(
            separable_conv(channels + low_level, channels, norm=norm), separable_conv(channels, channels, norm=norm)
        )

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: Mapping[str, ShapeSpec]) -> dict[str, Any]:
        return {**super().from_config(cfg, input_shape), "dilations": cfg.MODEL.SEM_SEG_HEAD.DILATIONS}

    def decode(self, maps: list[torch.Tensor]) -> torch.Tensor:
        fine = self.low_level(maps[0])
        return self.refine(torch.cat([resize(self.aspp(maps[-1]), fine.shape[-2:]), fine], dim=1))
