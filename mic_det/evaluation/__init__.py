from .coco import BoxEvaluator, all_metrics
from .run import evaluate, evaluate_detector

__all__ = ["BoxEvaluator", "all_metrics", "evaluate", "evaluate_detector"]
