"""An FPN over any bottom-up network."""

from detectron2.config import CfgNode
from detectron2.modeling import Backbone
from detectron2.modeling.backbone.fpn import FPN, LastLevelMaxPool, LastLevelP6P7


def build_fpn(cfg: CfgNode, bottom_up: Backbone) -> FPN:
    """FPN (Lin et al., CVPR 2017) over `MODEL.FPN.IN_FEATURES` of a backbone: p6 by pooling, or p6 and p7 for RetinaNet."""
    channels = cfg.MODEL.FPN.OUT_CHANNELS
    if cfg.MODEL.MIC.STUDENT == "RetinaNet":
        top = LastLevelP6P7(channels, channels, in_feature="p5")
    else:
        top = LastLevelMaxPool()
    return FPN(
        bottom_up=bottom_up,
        in_features=cfg.MODEL.FPN.IN_FEATURES,
        out_channels=channels,
        norm=cfg.MODEL.FPN.NORM,
        top_block=top,
        fuse_type=cfg.MODEL.FPN.FUSE_TYPE,
    )
