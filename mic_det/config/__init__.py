"""All configuration keys that mic-det adds to detectron2's, with their defaults and a comment each, and how configs are read."""

from .common import add_mic_config
from .loading import complete, known_keys, load_config, num_classes, num_classes_key, value_of

__all__ = ["add_mic_config", "complete", "known_keys", "load_config", "num_classes", "num_classes_key", "value_of"]
