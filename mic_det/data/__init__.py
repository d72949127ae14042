"""Datasets: names, reading, augmentation and resumable streams."""

from .builtin import register_builtin
from .catalog import register_coco, register_folder
from .image_lists import register_class_folders, register_classification, register_image_list
from .label_images import register_segmentation

__all__ = [
    "register_builtin",
    "register_class_folders",
    "register_classification",
    "register_coco",
    "register_folder",
    "register_image_list",
    "register_segmentation",
]
