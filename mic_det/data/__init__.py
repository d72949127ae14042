"""Datasets: names, reading, augmentation and resumable streams."""

from .catalog import register_builtin, register_coco, register_folder

__all__ = ["register_builtin", "register_coco", "register_folder"]
