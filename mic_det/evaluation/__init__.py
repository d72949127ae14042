from .coco import BoxEvaluator, coco_box_metrics
from .run import evaluate, evaluate_detector

__all__ = ["BoxEvaluator", "coco_box_metrics", "evaluate", "evaluate_detector"]
