"""What adaptation must know about a kind of detector, and which kinds it knows."""

from abc import ABC, abstractmethod

import torch.nn.functional as F
from detectron2.structures import ImageList

from mic_det.errors import UserError
from mic_det.modeling.sample_weights import SampleWeights

ADAPTERS = {}  # meta-architecture class -> StudentAdapter subclass


def register_student(meta_architecture):
    """Class decorator: the StudentAdapter serves `meta_architecture` and its subclasses."""

    def register(adapter):
        ADAPTERS[meta_architecture] = adapter
        return adapter

    return register


def build_adapter(cfg, student):
    """The StudentAdapter of a detector. Raises UserError when there is none or it finds something missing."""
    for kind in type(student).__mro__:
        if kind in ADAPTERS:
            adapter = ADAPTERS[kind](cfg)
            adapter.check(student)
            return adapter
    known = ", ".join(sorted(kind.__name__ for kind in ADAPTERS))
    raise UserError(
        f"MODEL.MIC.STUDENT: the losses of {type(student).__name__} cannot be weighted by pseudo-label quality, because no "
        f"StudentAdapter is registered for it (there are for {known}): write one, as the README says under 'Bring your own "
        "meta-architecture'."
    )


class StudentAdapter(ABC):
    """Labels, weighted losses and features of one kind of detector. One adapter serves student and teacher alike.

    A detector is what detectron2's META_ARCH_REGISTRY builds: in training it maps a list of dataset dicts to a dict of
    losses, and it has `preprocess_image`, which normalises and pads their images into an ImageList.
    """

    def __init__(self, cfg):
        self.weights = SampleWeights(cfg)
        self.box_regression = cfg.MODEL.MIC.PSEUDO_LABELS.BOX_REGRESSION
        self.learn_masks = cfg.MODEL.MIC.PSEUDO_LABELS.MASKS
        self.one_size = cfg.MODEL.MIC.REFERENCE.ALIGN_PADDING

    @abstractmethod
    def check(self, detector):
        """Raise UserError, naming what is missing, when the losses of `detector` cannot be weighted."""

    @abstractmethod
    def predict(self, detector, images):
        """Detections on an ImageList by a detector in evaluation mode.

        Returns:
            list[Instances] with "pred_boxes", "pred_classes", "scores" in network-input coordinates.
        """

    @abstractmethod
    def losses(self, detector, images, labels):
        """Losses on masked images, each sample weighted by `self.weights`.

        Args:
            detector: in training mode.
            images: ImageList of N masked images, each with at least one pseudo box.
            labels: N PseudoBoxes.

        Returns:
            dict of scalar losses, named like the detector's own.
        """

    def alignment_shape(self, detector):
        """Arguments of FeatureAlignment beside the config: channels, levels, instance_features, box_pooler."""
        raise UserError(f"MODEL.MIC.ALIGN.ENABLED: {type(self).__name__} does not support feature alignment.")

    def aligned_losses(self, detector, source, target):
        """The detector's own losses on the source, and both domains' features, from one pass over each.

        Args:
            source: list of labelled dataset dicts.
            target: ImageList of unlabelled images.

        Returns:
            (losses, DomainFeatures of the source, DomainFeatures of the target).
        """
        raise NotImplementedError

    def padded_pair(self, source, target):
        """Source and target (ImageLists); with the reference switch, both padded to the larger height and width of the two."""
        if not self.one_size:
            return source, target
        height, width = map(max, source.tensor.shape[-2:], target.tensor.shape[-2:])
        return padded(source, height, width), padded(target, height, width)

    def running_state(self, detector):
        """Plain values outside the state dict that a resumed run needs."""
        return {}


def padded(images, height, width):
    """An ImageList with more zeros, the mean colour of normalised images, below and to the right."""
    rows, columns = height - images.tensor.shape[-2], width - images.tensor.shape[-1]
    return ImageList(F.pad(images.tensor, (0, columns, 0, rows)), images.image_sizes)


def instances_of(labels):
    return [label.instances for label in labels]


def labelled_instances(detector, samples):
    return [sample["instances"].to(detector.device) for sample in samples]
