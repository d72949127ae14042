"""What differs between detection, segmentation and classification, in one place each; trainer, hooks and reports ask the task."""

from detectron2.config import CfgNode

from mic_det.errors import UserError, did_you_mean

from .base import Task
from .classification import ClassificationTask
from .detection import DetectionTask
from .segmentation import SegmentationTask

TASKS: dict[str, Task] = {
    "MaskedConsistencyDetector": DetectionTask(),
    "MaskedConsistencySegmentor": SegmentationTask(),
    "MaskedConsistencyClassifier": ClassificationTask(),
}


def task_of(cfg: CfgNode) -> Task:
    """The Task of MODEL.META_ARCHITECTURE. Raises UserError for one that is not mic-det's."""
    name = cfg.MODEL.META_ARCHITECTURE
    if name not in TASKS:
        raise UserError(
            f"MODEL.META_ARCHITECTURE '{name}' cannot adapt: set it to {', '.join(TASKS)} and name the network to adapt in "
            f"MODEL.MIC.STUDENT.{did_you_mean(name, TASKS)}"
        )
    return TASKS[name]


__all__ = ["ClassificationTask", "DetectionTask", "SegmentationTask", "Task", "task_of"]
