"""What goes through the data's rooms, by name: dictionaries whose keys are detectron2's and COCO's."""

from typing import Any

# Detectron2's dataset dict: "file_name", "image_id", maybe "height" and "width", and what the task's labels are:
# "annotations", "sem_seg_file_name" or "label".
Record = dict[str, Any]
# What a mapper makes of a record: "image" (3xHxW uint8) and what the network learns from or is asked about.
Sample = dict[str, Any]
# A COCO dictionary: lists of "images", "annotations" and "categories".
Content = dict[str, Any]
# An entry of one of these lists, or of COCO's results.
Item = dict[str, Any]
# (height, width) in pixels.
Size = tuple[int, int]
# {class index: pixels} of a label image.
Pixels = dict[int, int]
