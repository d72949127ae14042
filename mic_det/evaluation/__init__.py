from .coco import BoxEvaluator, all_metrics
from .images import ClassEvaluator
from .networks import evaluate, evaluate_network
from .pixels import PixelEvaluator

__all__ = ["BoxEvaluator", "ClassEvaluator", "PixelEvaluator", "all_metrics", "evaluate", "evaluate_network"]
