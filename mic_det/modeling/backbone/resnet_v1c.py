"""ResNet-v1c with dilated stages: the encoder of DeepLab in domain adaptation (He et al., Bag of Tricks, CVPR 2019)."""

from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY
from detectron2.modeling.backbone.resnet import BottleneckBlock, ResNet
from detectron2.projects.deeplab.resnet import DeepLabStem

from mic_det.errors import UserError

DEPTHS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
STRIDES, DILATIONS = (1, 2, 1, 1), (1, 1, 2, 4)
STEM_CHANNELS = 64


def build_resnet_v1c(depth: int, norm: str = "BN") -> ResNet:
    """Three 3x3 convolutions as stem; res4 and res5 dilated by 2 and 4 instead of strided, their first block by half of that.

    The maps res2 to res5 have strides 4, 8, 8 and 8 and 256 to 2048 channels. All layers train.
    """
    if depth not in DEPTHS:
        raise UserError(f"MODEL.RESNETS.DEPTH must be one of {', '.join(map(str, DEPTHS))} for ResNet-v1c, got {depth}.")
    stages, channels = [], STEM_CHANNELS
    for index, blocks in enumerate(DEPTHS[depth]):
        stride, dilation, out_channels = STRIDES[index], DILATIONS[index], 256 * 2**index
        stages.append(
            ResNet.make_stage(
                BottleneckBlock,
                blocks,
                stride_per_block=[stride] + [1] * (blocks - 1),
                dilation_per_block=[max(dilation // 2, 1)] + [dilation] * (blocks - 1),
                in_channels=channels,
                out_channels=out_channels,
                bottleneck_channels=out_channels // 4,
                norm=norm,
                stride_in_1x1=False,
            )
        )
        channels = out_channels
    stem = DeepLabStem(out_channels=STEM_CHANNELS, norm=norm)
    return ResNet(stem, stages, out_features=["res2", "res3", "res4", "res5"])


@BACKBONE_REGISTRY.register()
def build_resnet_v1c_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> ResNet:
    """`MODEL.RESNETS.DEPTH` with `MODEL.RESNETS.NORM`."""
    return build_resnet_v1c(cfg.MODEL.RESNETS.DEPTH, cfg.MODEL.RESNETS.NORM)
