from .timm_features import build_timm_fpn_backbone
from .vgg import build_vgg_backbone, build_vgg_fpn_backbone
from .vit import build_vit_fpn_backbone

__all__ = ["build_timm_fpn_backbone", "build_vgg_backbone", "build_vgg_fpn_backbone", "build_vit_fpn_backbone"]
