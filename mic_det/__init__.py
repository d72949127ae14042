"""mic-det: unsupervised domain adaptation for detectron2. Importing it registers every component."""

from mic_det import modeling
from mic_det.config import add_mic_config, load_config
from mic_det.data import (
    register_builtin,
    register_class_folders,
    register_coco,
    register_folder,
    register_image_list,
    register_segmentation,
)
from mic_det.toycity.registration import register_toycity

__version__ = "0.1.0"
__all__ = [
    "add_mic_config",
    "load_config",
    "modeling",
    "register_class_folders",
    "register_coco",
    "register_folder",
    "register_image_list",
    "register_segmentation",
]

register_builtin()
register_toycity()
