from .trainer import AdaptationTrainer

__all__ = ["AdaptationTrainer"]
