"""VGG16 (Simonyan & Zisserman, ICLR 2015) as a detectron2 backbone, alone or under an FPN, with torchvision's layer names."""

from collections.abc import Sequence

import torch
from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY, Backbone
from detectron2.modeling.backbone.fpn import FPN
from torchvision.models import vgg16

from mic_det.modeling.backbone.pyramid import build_fpn

# name -> (index of its last layer in torchvision's `features`, channels, stride)
STAGES = {
    "conv1": (3, 64, 1),
    "conv2": (8, 128, 2),
    "conv3": (15, 256, 4),
    "conv4": (22, 512, 8),
    "conv5": (29, 512, 16),
    "pool5": (30, 512, 32),
}


class VGG16(Backbone):
    """The convolutional part of VGG16.

    Parameters are named `features.<index>.*` as in torchvision's weight file, which therefore loads by MODEL.WEIGHTS; its
    normalisation is torchvision's: RGB, PIXEL_MEAN [123.675, 116.28, 103.53], PIXEL_STD [58.395, 57.12, 57.375].
    """

    def __init__(self, out_features: Sequence[str] = ("conv5",), freeze_at: int = 2) -> None:
        """
        Args:
            out_features: names of STAGES.
            freeze_at: number of convolution stages, from the first, that are not trained.
        """
        super().__init__()
        unknown = [name for name in out_features if name not in STAGES]
        if unknown:
            raise ValueError(f"VGG16 has no feature '{unknown[0]}': choose from {', '.join(STAGES)}.")
        self.features = vgg16(weights=None).features
        self._out_features = list(out_features)
        frozen = list(STAGES.values())[freeze_at - 1][0] if freeze_at else -1
        self.features[: frozen + 1].requires_grad_(False)

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """Nx3xHxW -> {name: NxCxH/stride x W/stride}."""
        outputs, last = {}, max(STAGES[name][0] for name in self._out_features)
        names = {STAGES[name][0]: name for name in self._out_features}
        for index, layer in enumerate(self.features[: last + 1]):
            images = layer(images)
            if index in names:
                outputs[names[index]] = images
        return outputs

    def output_shape(self) -> dict[str, ShapeSpec]:
        """Channels and stride of every map."""
        return {name: ShapeSpec(channels=STAGES[name][1], stride=STAGES[name][2]) for name in self._out_features}


@BACKBONE_REGISTRY.register()
def build_vgg_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> VGG16:
    """VGG16 alone; `MODEL.VGG.OUT_FEATURES ("conv5",)` is the classical single-level detector."""
    return VGG16(cfg.MODEL.VGG.OUT_FEATURES, cfg.MODEL.BACKBONE.FREEZE_AT)


@BACKBONE_REGISTRY.register()
def build_vgg_fpn_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> FPN:
    """VGG16 under an FPN of `MODEL.FPN.IN_FEATURES`, e.g. conv3, conv4, conv5, pool5."""
    return build_fpn(cfg, VGG16(cfg.MODEL.FPN.IN_FEATURES, cfg.MODEL.BACKBONE.FREEZE_AT))
