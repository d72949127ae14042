"""What all segmentation decoders share."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from detectron2.config import CfgNode, configurable
from detectron2.layers import Conv2d, ShapeSpec, get_norm
from detectron2.modeling import SEM_SEG_HEADS_REGISTRY
from detectron2.modeling.meta_arch.semantic_seg import build_sem_seg_head
from torch import nn
from typing_extensions import Self

from mic_det.errors import UserError, registered, user_errors


def resize(maps: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """Bilinear resizing of NxCxHxW maps to (height, width), pixel corners not aligned."""
    return maps if maps.shape[-2:] == tuple(size) else F.interpolate(maps, size, mode="bilinear", align_corners=False)


def conv_norm_act(in_channels: int, out_channels: int, kernel_size: int = 1, norm: str = "BN", dilation: int = 1) -> Conv2d:
    """Convolution that keeps the size, normalisation, ReLU; Kaiming-initialised."""
    conv = Conv2d(
        in_channels,
        out_channels,
        kernel_size,
        padding=dilation * (kernel_size // 2),
        dilation=dilation,
        bias=norm == "",
        norm=get_norm(norm, out_channels),
        activation=F.relu,
    )
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return conv


class DecodeHead(nn.Module):
    """Feature maps -> class scores at the stride of the finest map it uses.

    Subclasses implement `decode`; dropout and the 1x1 classifier are common. `forward` takes {name: NxCxHxW} and returns
    logits NxKxhxw.

    Attributes:
        stride: input pixels per cell of the logits.
    """

    @configurable
    def __init__(
        self, input_shape: Mapping[str, ShapeSpec], channels: int, num_classes: int, dropout: float = 0.1, norm: str = "BN"
    ) -> None:
        """
        Args:
            input_shape: {feature name: ShapeSpec}, of the maps to use, finest first.
            channels: what `decode` returns.
            num_classes: K.
            dropout: share of channels dropped before the classifier in training.
            norm: detectron2 name of the normalisation.
        """
        super().__init__()
        self.in_features = list(input_shape)
        self.in_channels = [shape.channels for shape in input_shape.values()]
        self.stride = min(shape.stride for shape in input_shape.values())
        self.norm = norm
        self.dropout = nn.Dropout2d(dropout)
        self.classifier = classifier(channels, num_classes)

    @classmethod
    def from_config(cls, cfg: CfgNode, input_shape: Mapping[str, ShapeSpec]) -> dict[str, Any]:
        head = cfg.MODEL.SEM_SEG_HEAD
        return {
            "input_shape": select_features(cfg, input_shape),
            "channels": head.CONVS_DIM,
            "num_classes": head.NUM_CLASSES,
            "dropout": head.DROPOUT,
            "norm": head.NORM,
        }

    @classmethod
    def scale_attention(cls, cfg: CfgNode, input_shape: Mapping[str, ShapeSpec], outputs: int) -> Self:
        """The head that predicts HRDA's scale attention with this head: `outputs` channels of logits."""
        return cls(**{**cls.from_config(cfg, input_shape), "num_classes": outputs})

    def widen_classifier(self, extra: int) -> None:
        """Let the classifier take `extra` more channels."""
        self.classifier = classifier(self.classifier.in_channels + extra, self.classifier.out_channels)

    def forward(self, features: Mapping[str, torch.Tensor]) -> torch.Tensor:
        return self.classify(self.embed(features))

    def embed(self, features: Mapping[str, torch.Tensor]) -> torch.Tensor:
        """{name: NxCxHxW} -> what the classifier takes."""
        return self.decode([features[name] for name in self.in_features])

    def classify(self, embedded: torch.Tensor) -> torch.Tensor:
        """NxCxhxw -> logits NxKxhxw."""
        return self.classifier(self.dropout(embedded))

    def decode(self, maps: list[torch.Tensor]) -> torch.Tensor:
        """Maps, finest first -> NxCxhxw at `stride`."""
        raise NotImplementedError


def classifier(channels: int, num_classes: int) -> nn.Conv2d:
    """1x1 convolution with small random weights and biases 0."""
    layer = nn.Conv2d(channels, num_classes, 1)
    initialise(layer)
    return layer


def initialise(layer: nn.Conv2d) -> None:
    """Small random weights and biases 0."""
    nn.init.normal_(layer.weight, std=0.01)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def build_head(cfg: CfgNode, input_shape: Mapping[str, ShapeSpec]) -> DecodeHead:
    """The decoder MODEL.SEM_SEG_HEAD.NAME; an unknown name or a value out of range becomes a UserError."""
    registered(SEM_SEG_HEADS_REGISTRY, cfg.MODEL.SEM_SEG_HEAD.NAME, "MODEL.SEM_SEG_HEAD.NAME")
    with user_errors("MODEL.SEM_SEG_HEAD"):
        return build_sem_seg_head(cfg, input_shape)


def select_features(cfg: CfgNode, input_shape: Mapping[str, ShapeSpec]) -> dict[str, ShapeSpec]:
    """{name: ShapeSpec} of MODEL.SEM_SEG_HEAD.IN_FEATURES. Raises UserError for a map the backbone does not give."""
    names = cfg.MODEL.SEM_SEG_HEAD.IN_FEATURES
    missing = [name for name in names if name not in input_shape]
    if missing:
        raise UserError(f"MODEL.SEM_SEG_HEAD.IN_FEATURES names '{missing[0]}', but the backbone gives {', '.join(input_shape)}.")
    return {name: input_shape[name] for name in names}
