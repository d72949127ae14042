"""Mix Transformer encoders (Xie et al., SegFormer, NeurIPS 2021) on the implementation of `transformers`."""

from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY, Backbone
from torch import nn

from mic_det.errors import UserError, did_you_mean

STRIDES = (4, 8, 16, 32)
# name: channels and blocks of the four stages
VARIANTS = {
    "b0": ((32, 64, 160, 256), (2, 2, 2, 2)),
    "b1": ((64, 128, 320, 512), (2, 2, 2, 2)),
    "b2": ((64, 128, 320, 512), (3, 4, 6, 3)),
    "b3": ((64, 128, 320, 512), (3, 4, 18, 3)),
    "b4": ((64, 128, 320, 512), (3, 8, 27, 3)),
    "b5": ((64, 128, 320, 512), (3, 6, 40, 3)),
}
BLOCK_EPSILON = 1e-6  # of the original's block and stage norms; its patch and reduction norms have torch's 1e-5


class MiT(Backbone):
    """Feature maps "stage1" to "stage4" of strides 4, 8, 16 and 32."""

    def __init__(self, variant: str = "b5", drop_path: float = 0.1) -> None:
        """
        Args:
            variant: "b0" to "b5".
            drop_path: rate of stochastic depth of the last block; it grows linearly from 0.

        Raises:
            UserError: for an unknown variant, or when transformers 5 is missing.
        """
        super().__init__()
        if variant not in VARIANTS:
            raise UserError(
                f"MODEL.MIT.VARIANT: '{variant}' is not one of {', '.join(VARIANTS)}.{did_you_mean(variant, VARIANTS)}"
            )
        channels, depths = VARIANTS[variant]
        self.stages = build_stages(channels, depths, drop_path)
        self.channels = dict(zip(("stage1", "stage2", "stage3", "stage4"), channels, strict=True))
        self._out_features = list(self.channels)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels // module.groups
                nn.init.normal_(module.weight, std=(2 / fan_out) ** 0.5)

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """Nx3xHxW -> {"stage1": NxCxH/4xW/4, ...}."""
        features, maps = images, {}
        for name, stage in zip(self.channels, self.stages, strict=True):
            maps[name] = features = stage(features)
        return maps

    def output_shape(self) -> dict[str, ShapeSpec]:
        """Channels and stride of every map."""
        return {
            name: ShapeSpec(channels=channels, stride=stride)
            for (name, channels), stride in zip(self.channels.items(), STRIDES, strict=True)
        }


def build_stages(channels: tuple[int, ...], depths: tuple[int, ...], drop_path: float) -> nn.ModuleList:
    """The four stages of a transformers SegformerModel with the original's LayerNorm epsilons."""
    try:
        # Imported here: transformers takes seconds to load, and most runs do not need it.
        from transformers import SegformerConfig, SegformerModel

        stages: Any = SegformerModel(SegformerConfig(hidden_sizes=channels, depths=depths, drop_path_rate=drop_path)).stages
    except (ImportError, AttributeError):
        raise UserError("MiT backbones need transformers 5: pip install 'mic-det[segmentation]'.") from None
    for stage in stages:
        for norm in (stage.layer_norm, *(n for block in stage.blocks for n in (block.layernorm_before, block.layernorm_after))):
            norm.eps = BLOCK_EPSILON
    return stages


@BACKBONE_REGISTRY.register()
def build_mit_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> MiT:
    """`MODEL.MIT.VARIANT` with `MODEL.MIT.DROP_PATH`."""
    return MiT(cfg.MODEL.MIT.VARIANT, cfg.MODEL.MIT.DROP_PATH)
