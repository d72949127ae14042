from .coco import BoxEvaluator, all_metrics
from .images import ClassEvaluator
from .networks import check_evaluation, evaluate, evaluate_network
from .pixels import PixelEvaluator

__all__ = ["BoxEvaluator", "ClassEvaluator", "PixelEvaluator", "all_metrics", "check_evaluation", "evaluate", "evaluate_network"]
