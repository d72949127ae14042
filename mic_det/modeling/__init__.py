from . import backbone
from .meta_arch.detector import MaskedConsistencyDetector
from .students import StudentAdapter, register_student

__all__ = ["MaskedConsistencyDetector", "StudentAdapter", "backbone", "register_student"]
