"""The method: masking, the EMA teacher, pseudo-labels, masked consistency and alignment. Knows tensors, not configs or files."""

from .alignment import DomainFeatures, FeatureAlignment
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
    "DomainFeatures",
    "EMATeacher",
    "FeatureAlignment",
    "MaskedConsistency",
    "PhotometricAugmentation",
    "PseudoBoxes",
]
