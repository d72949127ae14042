"""What adaptation must know about a kind of detector, and which kinds it knows."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from detectron2.config import CfgNode
from detectron2.structures import ImageList, Instances
from torch import nn

from mic_det.adaptation import DomainFeatures, PseudoBoxes
from mic_det.errors import UserError
from mic_det.modeling.sample_weights import SampleWeights

Adapter = TypeVar("Adapter", bound="type[StudentAdapter]")
ADAPTERS: dict[type[nn.Module], type["StudentAdapter"]] = {}  # meta-architecture class -> StudentAdapter subclass


def register_student(meta_architecture: type[nn.Module]) -> Callable[[Adapter], Adapter]:
    """Class decorator: the StudentAdapter serves `meta_architecture` and its subclasses."""

    def register(adapter: Adapter) -> Adapter:
        ADAPTERS[meta_architecture] = adapter
        return adapter

    return register


def build_adapter(cfg: CfgNode, student: nn.Module) -> "StudentAdapter":
    """The StudentAdapter of a detector. Raises UserError when there is none or it finds something missing."""
    for kind in type(student).__mro__:
        if kind in ADAPTERS:
            adapter = ADAPTERS[kind](cfg)
            adapter.check(student)
            return adapter
    known = ", ".join(sorted(kind.__name__ for kind in ADAPTERS))
    raise UserError(
        f"MODEL.MIC.STUDENT: the losses of {type(student).__name__} cannot be weighted by pseudo-label quality, because no "
        f"StudentAdapter is registered for it (there are for {known}): write one, as docs/guides/detectors.md says under "
        "'Bring your own meta-architecture'."
    )


class StudentAdapter(ABC):
    """Labels, weighted losses and features of one kind of detector. One adapter serves student and teacher alike.

    A detector is what detectron2's META_ARCH_REGISTRY builds: in training it maps a list of dataset dicts to a dict of
    losses, and it has `preprocess_image`, which normalises and pads their images into an ImageList.
    """

    def __init__(self, cfg: CfgNode) -> None:
        self.weights = SampleWeights(cfg)
        self.box_regression = cfg.MODEL.MIC.PSEUDO_LABELS.BOX_REGRESSION
        self.learn_masks = cfg.MODEL.MIC.PSEUDO_LABELS.MASKS
        self.one_size = cfg.MODEL.MIC.REFERENCE.ALIGN_PADDING

    @abstractmethod
    def check(self, detector: Any) -> None:
        """Raise UserError, naming what is missing, when the losses of `detector` cannot be weighted."""

    @abstractmethod
    def predict(self, detector: Any, images: ImageList) -> list[Instances]:
        """Detections on an ImageList by a detector in evaluation mode.

        Returns:
            list[Instances] with "pred_boxes", "pred_classes", "scores" in network-input coordinates.
        """

    @abstractmethod
    def losses(self, detector: Any, images: ImageList, labels: list[PseudoBoxes]) -> dict[str, torch.Tensor]:
        """Losses on masked images, each sample weighted by `self.weights`.

        Args:
            detector: in training mode.
            images: ImageList of N masked images, each with at least one pseudo box.
            labels: N PseudoBoxes.

        Returns:
            dict of scalar losses, named like the detector's own.
        """

    def alignment_shape(self, detector: Any) -> dict[str, Any]:
        """Arguments of FeatureAlignment beside the config: channels, levels, instance_features, box_pooler."""
        raise UserError(f"MODEL.MIC.ALIGN.ENABLED: {type(self).__name__} does not support feature alignment.")

    def aligned_losses(
        self, detector: Any, source: list[dict], target: ImageList
    ) -> tuple[dict[str, torch.Tensor], DomainFeatures, DomainFeatures]:
        """The detector's own losses on the source, and both domains' features, from one pass over each.

        Args:
            source: list of labelled dataset dicts.
            target: ImageList of unlabelled images.

        Returns:
            (losses, DomainFeatures of the source, DomainFeatures of the target).
        """
        raise NotImplementedError

    def padded_pair(self, source: ImageList, target: ImageList) -> tuple[ImageList, ImageList]:
        """Source and target (ImageLists); with the reference switch, both padded to the larger height and width of the two."""
        if not self.one_size:
            return source, target
        height, width = map(max, source.tensor.shape[-2:], target.tensor.shape[-2:])
        return padded(source, height, width), padded(target, height, width)

    def running_state(self, detector: Any) -> dict[str, Any]:
        """Plain values outside the state dict that a resumed run needs."""
        return {}


def padded(images: ImageList, height: int, width: int) -> ImageList:
    """An ImageList with more zeros, the mean colour of normalised images, below and to the right."""
    rows, columns = height - images.tensor.shape[-2], width - images.tensor.shape[-1]
    return ImageList(F.pad(images.tensor, (0, columns, 0, rows)), images.image_sizes)


def instances_of(labels: Iterable[PseudoBoxes]) -> list[Instances]:
    """The pseudo-labels as detectron2's ground truth, one per image."""
    return [label.instances for label in labels]


def labelled_instances(detector: Any, samples: list[dict]) -> list[Instances]:
    """The samples' ground truth on the detector's device."""
    return [sample["instances"].to(detector.device) for sample in samples]
