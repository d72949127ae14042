from . import backbone, decode_head
from .meta_arch.detector import MaskedConsistencyDetector
from .meta_arch.encoder_decoder import EncoderDecoder
from .meta_arch.hrda import HRDA
from .meta_arch.segmentor import MaskedConsistencySegmentor
from .students import StudentAdapter, register_student

__all__ = [
    "HRDA",
    "EncoderDecoder",
    "MaskedConsistencyDetector",
    "MaskedConsistencySegmentor",
    "StudentAdapter",
    "backbone",
    "decode_head",
    "register_student",
]
