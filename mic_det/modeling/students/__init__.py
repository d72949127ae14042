"""Which detectors can adapt: one adapter per kind of meta-architecture."""

from .base import StudentAdapter, build_adapter, register_student
from .dense import RetinaNetAdapter
from .two_stage import TwoStageAdapter

__all__ = ["RetinaNetAdapter", "StudentAdapter", "TwoStageAdapter", "build_adapter", "register_student"]
