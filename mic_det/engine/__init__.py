from mic_det import registration

from .trainer import AdaptationTrainer

__all__ = ["AdaptationTrainer", "registration"]
