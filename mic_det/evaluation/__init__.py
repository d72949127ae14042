from .coco import BoxEvaluator, all_metrics
from .networks import evaluate, evaluate_network
from .pixels import PixelEvaluator

__all__ = ["BoxEvaluator", "PixelEvaluator", "all_metrics", "evaluate", "evaluate_network"]
