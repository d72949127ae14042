"""Backbones of classification networks: one vector per image."""

from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY, Backbone
from torch import nn
from torchvision.models import get_model, list_models

from mic_det.errors import UserError
from mic_det.modeling.backbone.timm_features import check_normalisation, create_timm, freeze_batch_norm


class PooledNetwork(Backbone):
    """A network that maps Nx3xHxW to NxC, as a Backbone with the output "pooled"."""

    def __init__(self, network: nn.Module, channels: int) -> None:
        """
        Args:
            network: Nx3xHxW -> NxC.
            channels: C.
        """
        super().__init__()
        self.network = network
        self.channels = channels
        self._out_features = ["pooled"]

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """Nx3xHxW -> {"pooled": NxC}."""
        return {"pooled": self.network(images)}

    def output_shape(self) -> dict[str, ShapeSpec]:
        """The number of channels of "pooled", which has no stride."""
        return {"pooled": ShapeSpec(channels=self.channels)}


@BACKBONE_REGISTRY.register()
def build_resnet_pooled_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> PooledNetwork:
    """Torchvision's ResNet of MODEL.RESNETS.DEPTH with global average pooling."""
    name = f"resnet{cfg.MODEL.RESNETS.DEPTH}"
    if name not in list_models():
        known = ", ".join(model.removeprefix("resnet") for model in list_models(include="resnet*"))
        raise UserError(f"MODEL.RESNETS.DEPTH: torchvision has no {name}; it has {known}.")
    network = get_model(name)
    channels = network.fc.in_features
    network.fc = nn.Identity()
    return PooledNetwork(network, channels)


@BACKBONE_REGISTRY.register()
def build_timm_pooled_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> PooledNetwork:
    """`MODEL.TIMM.NAME` without its classifier: a ViT's class token after the last norm, a CNN's average."""
    check_normalisation(cfg)
    timm = cfg.MODEL.TIMM
    network: Any = create_timm(timm.NAME, timm.PRETRAINED_FILE, num_classes=0)
    network = freeze_batch_norm(network) if timm.FREEZE_BN else network
    return PooledNetwork(network, network.num_features)
