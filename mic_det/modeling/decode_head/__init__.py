from .base import DecodeHead
from .daformer import DAFormerHead, SegFormerHead
from .deeplab import DeepLabV2Head, DepthwiseSeparableASPPHead

__all__ = ["DAFormerHead", "DecodeHead", "DeepLabV2Head", "DepthwiseSeparableASPPHead", "SegFormerHead"]
