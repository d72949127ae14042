from . import backbone, decode_head, legacy_boxes
from .meta_arch.classifier import MaskedConsistencyClassifier
from .meta_arch.detector import MaskedConsistencyDetector
from .meta_arch.encoder_decoder import EncoderDecoder
from .meta_arch.hrda import HRDA
from .meta_arch.image_classifier import ImageClassifier
from .meta_arch.segmentor import MaskedConsistencySegmentor
from .students import StudentAdapter, register_student

__all__ = [
    "HRDA",
    "EncoderDecoder",
    "ImageClassifier",
    "MaskedConsistencyClassifier",
    "MaskedConsistencyDetector",
    "MaskedConsistencySegmentor",
    "StudentAdapter",
    "backbone",
    "decode_head",
    "legacy_boxes",
    "register_student",
]
