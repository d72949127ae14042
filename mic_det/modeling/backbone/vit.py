"""ViTDet's backbone (Li et al., ECCV 2022) from detectron2, made available to YAML configs."""

from functools import partial

from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from detectron2.modeling import BACKBONE_REGISTRY
from detectron2.modeling.backbone.fpn import LastLevelMaxPool
from detectron2.modeling.backbone.vit import SimpleFeaturePyramid, ViT
from torch import nn


@BACKBONE_REGISTRY.register()
def build_vit_fpn_backbone(cfg: CfgNode, input_shape: ShapeSpec) -> SimpleFeaturePyramid:
    """A plain ViT with window attention under a simple feature pyramid, p2 to p6."""
    vit = cfg.MODEL.VIT
    network = ViT(
        img_size=vit.IMG_SIZE,
        patch_size=vit.PATCH_SIZE,
        embed_dim=vit.EMBED_DIM,
        depth=vit.DEPTH,
        num_heads=vit.NUM_HEADS,
        drop_path_rate=vit.DROP_PATH,
        window_size=vit.WINDOW_SIZE,
        mlp_ratio=4,
        qkv_bias=True,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
        window_block_indexes=[index for index in range(vit.DEPTH) if index not in vit.GLOBAL_BLOCKS],
        use_rel_pos=True,
        out_feature="last_feat",
    )
    return SimpleFeaturePyramid(
        net=network,
        in_feature="last_feat",
        out_channels=cfg.MODEL.FPN.OUT_CHANNELS,
        scale_factors=(4.0, 2.0, 1.0, 0.5),
        top_block=LastLevelMaxPool(),
        norm="LN",
    )
