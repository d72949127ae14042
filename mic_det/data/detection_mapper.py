"""Dataset dict -> network input. One decoded image serves teacher and student."""

import copy
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode, configurable
from detectron2.data import detection_utils as utils
from detectron2.data import transforms as T
from detectron2.structures import Instances

from mic_det.data.augmentation import colour_jitter
from mic_det.data.images import ValueRange, read_image
from mic_det.data.records import Item, Record, Sample, Size


class TrainingMapper:
    """Reads and augments one image; with labels for the source, without for the target.

    All randomness comes from numpy's global generator, which the loader seeds for every sample.
    """

    @configurable
    def __init__(
        self,
        augmentations: Sequence[T.Augmentation],
        image_format: str,
        labelled: bool,
        mask_format: str | None = None,
        value_range: ValueRange = (),
    ) -> None:
        """
        Args:
            augmentations: list of detectron2 augmentations.
            image_format: "BGR" or "RGB".
            labelled: whether annotations become "instances"; otherwise they are not even looked at.
            mask_format: "polygon" or "bitmask" to keep instance masks, None to drop them.
            value_range: see `read_image`.
        """
        self.augmentations = T.AugmentationList(augmentations)
        self.image_format = image_format
        self.labelled = labelled
        self.mask_format = mask_format
        self.value_range = value_range

    @classmethod
    def from_config(cls, cfg: CfgNode, labelled: bool) -> dict[str, Any]:
        augmentations = utils.build_augmentation(cfg, is_train=True)
        # Not on the target: the teacher should see it as it is, and the student's view has its own jitter.
        if labelled:
            augmentations += colour_jitter(cfg.INPUT.COLOR_JITTER)
        return {
            "augmentations": augmentations,
            "image_format": cfg.INPUT.FORMAT,
            "labelled": labelled,
            "mask_format": cfg.INPUT.MASK_FORMAT if cfg.MODEL.MASK_ON else None,
            "value_range": tuple(cfg.INPUT.RANGE),
        }

    def __call__(self, record: Record) -> Sample:
        """Return {"image": CxHxW uint8, "file_name", "image_id", "height", "width"} and, when labelled, "instances"."""
        image = read_image(record["file_name"], self.image_format, self.value_range)
        if "height" in record:
            utils.check_image_size(record, image)
        height, width = image.shape[:2]
        inputs = T.AugInput(image)
        transforms = self.augmentations(inputs)
        image = np.ascontiguousarray(inputs.image.transpose(2, 0, 1))
        sample = {
            "image": torch.from_numpy(image),
            "file_name": record["file_name"],
            "image_id": record["image_id"],
            "height": height,
            "width": width,
        }
        if self.labelled:
            sample["instances"] = self.instances(record["annotations"], transforms, image.shape[1:])
        return sample

    def instances(self, annotations: Iterable[Item], transforms: T.TransformList, size: Size) -> Instances:
        """The objects of an augmented image of `size`, without crowds and without those that were cropped away."""
        unused = {"keypoints"} if self.mask_format else {"keypoints", "segmentation"}
        objects = [
            utils.transform_instance_annotations(
                {key: copy.copy(value) for key, value in item.items() if key not in unused}, transforms, size
            )
            for item in annotations
            if not item.get("iscrowd", 0)
        ]
        instances = utils.annotations_to_instances(objects, size, mask_format=self.mask_format or "polygon")
        return utils.filter_empty_instances(instances, by_mask=self.mask_format is not None)


class TestMapper:
    """Reads and resizes one test image; "height" and "width" are the original's."""

    __test__ = False  # pytest's, which takes the name for a test's

    @configurable
    def __init__(self, shortest: int, longest: int, image_format: str, value_range: ValueRange = ()) -> None:
        """
        Args:
            shortest: pixels of the shortest side after resizing; 0 keeps the image's size.
            longest: most pixels of the longest side.
            image_format: "BGR" or "RGB".
            value_range: see `read_image`.
        """
        self.resize = T.ResizeShortestEdge([shortest] * 2, longest)
        self.image_format = image_format
        self.value_range = value_range

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        return {
            "shortest": cfg.INPUT.MIN_SIZE_TEST,
            "longest": cfg.INPUT.MAX_SIZE_TEST,
            "image_format": cfg.INPUT.FORMAT,
            "value_range": tuple(cfg.INPUT.RANGE),
        }

    def __call__(self, record: Record) -> Sample:
        """The record without its annotations and with {"image": 3xHxW uint8, "height", "width"}."""
        image = read_image(record["file_name"], self.image_format, self.value_range)
        utils.check_image_size(dict(record), image)
        kept = {key: value for key, value in record.items() if key != "annotations"}
        return {**kept, "image": self.prepare(image), "height": image.shape[0], "width": image.shape[1]}

    def prepare(self, image: np.ndarray) -> torch.Tensor:
        """3xHxW uint8 at test size of an HxWx3 uint8 image, both in the network's channel order."""
        return torch.from_numpy(np.ascontiguousarray(self.resize.get_transform(image).apply_image(image).transpose(2, 0, 1)))
