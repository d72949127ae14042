"""Keys of the backbones that mic-det adds to detectron2's."""

from typing import Literal

from detectron2.config import CfgNode
from detectron2.config import CfgNode as CN

from .ranges import Count, CountOrNone, Names, ShareBelowOne


def add_backbone_config(cfg: CfgNode) -> None:
    """Add these keys to a config, in place."""
    cfg.MODEL.VGG = CN()
    # Outputs of VGG16 without FPN: conv1 to conv5 (strides 1 to 16) and pool5 (stride 32).
    cfg.MODEL.VGG.OUT_FEATURES = ("conv5",)

    cfg.MODEL.VIT = CN()
    # Side in pixels of the training images that positions are laid out for; other sizes are interpolated.
    cfg.MODEL.VIT.IMG_SIZE = 1024
    # Side of a patch in pixels.
    cfg.MODEL.VIT.PATCH_SIZE = 16
    # Channels: 768 is ViT-B, 1024 ViT-L.
    cfg.MODEL.VIT.EMBED_DIM = 768
    # Transformer blocks: 12 is ViT-B, 24 ViT-L.
    cfg.MODEL.VIT.DEPTH = 12
    # Attention heads: 12 is ViT-B, 16 ViT-L.
    cfg.MODEL.VIT.NUM_HEADS = 12
    # Side in patches of the attention windows.
    cfg.MODEL.VIT.WINDOW_SIZE = 14
    # Blocks that attend to the whole image instead of windows.
    cfg.MODEL.VIT.GLOBAL_BLOCKS = (2, 5, 8, 11)
    # Rate of stochastic depth.
    cfg.MODEL.VIT.DROP_PATH = 0.1

    cfg.MODEL.TIMM = CN()
    # Model name in timm; it must give feature maps of strides 4, 8, 16 and 32.
    cfg.MODEL.TIMM.NAME = "convnext_tiny"
    # Local file of timm's pretrained weights; empty for random ones.
    cfg.MODEL.TIMM.PRETRAINED_FILE = ""
    # Replace batch normalisation, whose statistics of two domains would mix, by its frozen form.
    cfg.MODEL.TIMM.FREEZE_BN = True

    cfg.MODEL.MIT = CN()
    # Mix Transformer: b0 to b5.
    cfg.MODEL.MIT.VARIANT = "b5"
    # Rate of stochastic depth.
    cfg.MODEL.MIT.DROP_PATH = 0.1


RANGES = {
    "MODEL.VGG.OUT_FEATURES": Names,
    "MODEL.VIT.IMG_SIZE": Count,
    "MODEL.VIT.PATCH_SIZE": Count,
    "MODEL.VIT.EMBED_DIM": Count,
    "MODEL.VIT.DEPTH": Count,
    "MODEL.VIT.NUM_HEADS": Count,
    "MODEL.VIT.WINDOW_SIZE": CountOrNone,
    "MODEL.VIT.GLOBAL_BLOCKS": tuple[CountOrNone, ...],
    "MODEL.VIT.DROP_PATH": ShareBelowOne,
    "MODEL.MIT.VARIANT": Literal["b0", "b1", "b2", "b3", "b4", "b5"],
    "MODEL.MIT.DROP_PATH": ShareBelowOne,
}
