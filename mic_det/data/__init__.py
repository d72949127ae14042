"""Datasets: names, reading, augmentation and resumable streams."""

from .builtin import register_builtin
from .catalog import register_coco, register_folder
from .semantic import register_segmentation

__all__ = ["register_builtin", "register_coco", "register_folder", "register_segmentation"]
