"""ToyCity's names in detectron2's catalogue, for all three tasks."""

from mic_det.data.builtin import register_cityscapes_layout
from mic_det.data.catalog import resolve
from mic_det.data.cityscapes import CLASSES
from mic_det.data.image_lists import register_class_folders
from mic_det.data.segmentation_builtin import register_cityscapes_tree
from mic_det.toycity.writer import DEFAULT_BETAS


def register_toycity() -> None:
    """Register ToyCity's data sets. Reads no file."""
    register_cityscapes_layout(
        *("toycity", "toycity", DEFAULT_BETAS),
        prepare="mic-det prepare toycity --root {root}/toycity",
    )
    command = "mic-det prepare toycity-seg --root datasets/"
    register_cityscapes_tree("toycity_seg", "toycity_seg", ("train", "val"), command, DEFAULT_BETAS)
    register_cityscapes_tree("toycity_synthetic", "toycity_synthetic", ("train",), command)
    cure = " Make it with: mic-det prepare toycity-cls --root datasets."
    for domain in ("clear", "foggy"):
        for split in ("train", "val"):
            folder = f"toycity_cls/{domain}/{split}"
            register_class_folders(f"toycity_cls_{domain}_{split}", folder, CLASSES, resolve, cure)
