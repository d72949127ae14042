"""Decoders that embed every level of a pyramid at the finest stride: DAFormer and SegFormer."""

from collections.abc import Mapping
from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.layers import ShapeSpec
from detectron2.modeling import SEM_SEG_HEADS_REGISTRY
from torch import nn
from typing_extensions import Self

from .base import DecodeHead, conv_norm_act, resize
from .fusion import ASPP, InterlacedSelfAttention

FUSIONS = ("sepaspp", "aspp", "conv1", "isa", "sepaspp_f4")


class Embedding(nn.Module):
    """Per-cell linear projection, NxCxHxW -> NxExHxW."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.proj = nn.Linear(in_channels, channels)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """NxCxHxW -> NxExHxW."""
        return self.proj(features.flatten(2).transpose(1, 2)).transpose(1, 2).unflatten(2, features.shape[-2:])


@SEM_SEG_HEADS_REGISTRY.register()
class DAFormerHead(DecodeHead):
    """DAFormer's context-aware decoder (Hoyer et al., DAFormer, CVPR 2022, section 3.2).

    Every level is embedded and brought to the finest stride; all are concatenated and fused.
    """

    @configurable
    def __init__(
        self,
        input_shape: Mapping[str, ShapeSpec],
        channels: int,
        num_classes: int,
        fusion: str = "sepaspp",
        dropout: float = 0.1,
        norm: str = "BN",
    ) -> None:
        """
        Args:
            fusion: "sepaspp" (the published one), "aspp" (full dilated convolutions), "conv1" (1x1, no context), "isa"
                (interlaced self-attention) or "sepaspp_f4" (context from the coarsest level only).

        Other arguments as in DecodeHead; `channels` is also the width of the embeddings.
        """
        super().__init__(input_shape, channels, num_classes, dropout, norm)
        if fusion not in FUSIONS:
            raise ValueError(f"SEM_SEG_HEAD.FUSION must be one of {', '.join(FUSIONS)}, got '{fusion}'.")
        self.embeddings = nn.ModuleList(Embedding(count, channels) for count in self.in_channels)
        total = channels * len(self.in_channels)
        self.context = ASPP(channels, channels, norm=norm) if fusion == "sepaspp_f4" else nn.Identity()
        if fusion in ("sepaspp", "aspp"):
            self.fuse: nn.Module = ASPP(total, channels, separable=fusion == "sepaspp", norm=norm)
        elif fusion == "isa":
            self.fuse = InterlacedSelfAttention(total, channels, norm=norm)
        else:
            self.fuse = conv_norm_act(total, channels, 1, norm)

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: Mapping[str, ShapeSpec]) -> dict[str, Any]:
        return {**super().from_config(cfg, input_shape), "fusion": cfg.MODEL.SEM_SEG_HEAD.FUSION}

    @classmethod
    def scale_attention(cls, cfg: CfgNode, input_shape: Mapping[str, ShapeSpec], outputs: int) -> Self:
        """Without context: a 1x1 fusion (HRDA, ECCV 2022, section 3.2)."""
        return cls(**{**cls.from_config(cfg, input_shape), "num_classes": outputs, "fusion": "conv1"})

    def decode(self, maps: list[torch.Tensor]) -> torch.Tensor:
        embedded = [embed(features) for embed, features in zip(self.embeddings, maps, strict=True)]
        embedded[-1] = self.context(embedded[-1])
        size = embedded[0].shape[-2:]
        return self.fuse(torch.cat([resize(features, size) for features in embedded], dim=1))


@SEM_SEG_HEADS_REGISTRY.register()
class SegFormerHead(DAFormerHead):
    """SegFormer's decoder (Xie et al., NeurIPS 2021, section 3.2): DAFormer's without context, 768 channels for MiT-B5."""

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: Mapping[str, ShapeSpec]) -> dict[str, Any]:
        return {**super().from_config(cfg, input_shape), "fusion": "conv1"}
