"""The method: masking, the EMA teacher, pseudo-labels, consistency, mixing and alignment. Knows tensors, not configs or files."""

from .alignment import DomainFeatures, FeatureAlignment
from .batch import AdaptationBatch
from .box_labels import BoxPseudoLabels, PseudoBoxes
from .class_confusion import class_confusion
from .conditional_alignment import ConditionalAlignment
from .consistency import MaskedConsistency
from .feature_distance import FeatureDistance
from .image_labels import ImagePseudoLabels
from .masking import BlockMask
from .mixing import ClassMix
from .output_space import OutputDiscriminator, mean_entropy
from .photometric import PhotometricAugmentation
from .pixel_labels import PixelPseudoLabels, class_shares
from .teacher import EMATeacher

__all__ = [
    "AdaptationBatch",
    "BlockMask",
    "BoxPseudoLabels",
    "ClassMix",
    "ConditionalAlignment",
    "DomainFeatures",
    "EMATeacher",
    "FeatureAlignment",
    "FeatureDistance",
    "ImagePseudoLabels",
    "MaskedConsistency",
    "OutputDiscriminator",
    "PhotometricAugmentation",
    "PixelPseudoLabels",
    "PseudoBoxes",
    "class_confusion",
    "class_shares",
    "mean_entropy",
]
