"""The method: masking, the EMA teacher, pseudo-labels and masked consistency. Knows tensors, not configs or files."""

from .batch import AdaptationBatch
from .consistency import MaskedConsistency
from .masking import BlockMask
from .photometric import PhotometricAugmentation
from .pseudo_labels import BoxPseudoLabels, PseudoBoxes
from .teacher import EMATeacher

__all__ = [
    "AdaptationBatch",
    "BlockMask",
    "BoxPseudoLabels",
    "EMATeacher",
    "MaskedConsistency",
    "PhotometricAugmentation",
    "PseudoBoxes",
]
