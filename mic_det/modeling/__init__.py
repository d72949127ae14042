from .meta_arch.detector import MaskedConsistencyDetector

__all__ = ["MaskedConsistencyDetector"]
