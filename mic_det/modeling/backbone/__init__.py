from .mit import build_mit_backbone
from .pooled import build_resnet_pooled_backbone, build_timm_pooled_backbone
from .resnet_v1c import build_resnet_v1c_backbone
from .timm_features import build_timm_backbone, build_timm_fpn_backbone
from .vgg import build_vgg_backbone, build_vgg_fpn_backbone
from .vit import build_vit_fpn_backbone

__all__ = [
    "build_mit_backbone",
    "build_resnet_pooled_backbone",
    "build_resnet_v1c_backbone",
    "build_timm_backbone",
    "build_timm_fpn_backbone",
    "build_timm_pooled_backbone",
    "build_vgg_backbone",
    "build_vgg_fpn_backbone",
    "build_vit_fpn_backbone",
]
