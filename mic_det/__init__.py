"""mic-det: unsupervised domain adaptation for detectron2.

Importing this package costs nothing: no torch, no detectron2. Reading one of its names, as in `from mic_det import load_config`,
imports both and registers every network, head and built-in dataset with detectron2.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mic_det import modeling
    from mic_det.config import add_mic_config, load_config
    from mic_det.data import (
        register_class_folders,
        register_coco,
        register_folder,
        register_image_list,
        register_segmentation,
    )
    from mic_det.errors import UserError

__version__ = "0.1.0"

# name -> module that it comes from
HOMES = {
    "UserError": "errors",
    "add_mic_config": "config",
    "load_config": "config",
    "register_class_folders": "data",
    "register_coco": "data",
    "register_folder": "data",
    "register_image_list": "data",
    "register_segmentation": "data",
}

__all__ = [
    "UserError",
    "add_mic_config",
    "load_config",
    "modeling",
    "register_class_folders",
    "register_coco",
    "register_folder",
    "register_image_list",
    "register_segmentation",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'mic_det' has no attribute '{name}'")
    importlib.import_module("mic_det.registration")
    if name not in HOMES:
        return importlib.import_module(f"mic_det.{name}")
    value = getattr(importlib.import_module(f"mic_det.{HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
