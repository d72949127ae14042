"""A semantic segmentation network: encoder and decoder, trained on crops, tested on whole images or windows."""

from dataclasses import dataclass, field

import torch
from detectron2.config import configurable
from detectron2.modeling import META_ARCH_REGISTRY, SEM_SEG_HEADS_REGISTRY, build_backbone
from detectron2.modeling.meta_arch.semantic_seg import build_sem_seg_head
from detectron2.structures import ImageList
from torch import nn

from mic_det.errors import UserError, did_you_mean, user_errors
from mic_det.modeling.decode_head.base import resize
from mic_det.modeling.pixel_loss import pixel_cross_entropy
from mic_det.modeling.sliding_window import slide


@dataclass
class Observation:
    """What a segmentation network computed on a batch of training images.

    Attributes:
        logits: NxKxhxw scores of the whole images.
        features: {name: map} of the encoder, for the feature distance.
        details: what subclasses need for their losses.
    """

    logits: torch.Tensor
    features: dict
    details: dict = field(default_factory=dict)


@META_ARCH_REGISTRY.register()
class EncoderDecoder(nn.Module):
    """The student of segmentation. In training `forward` gives losses on labelled samples, in evaluation `sem_seg` scores.

    Adaptation uses `preprocess_image`, `observe`, `losses` and `predict`.

    Attributes:
        context_scale: resolution of what `features` and the discriminator see, relative to the image.
    """

    context_scale = 1.0

    @configurable
    def __init__(
        self,
        backbone,
        sem_seg_head,
        pixel_mean,
        pixel_std,
        ignore_label=255,
        mean_over_ignored=False,
        window=None,
        window_stride=None,
        window_batch=0,
        flip=False,
    ):
        """
        Args:
            backbone: detectron2 Backbone.
            sem_seg_head: decoder, {name: map} -> NxKxhxw; has `stride`.
            pixel_mean, pixel_std: per channel, on the 0..255 scale.
            ignore_label: label of pixels that take no part.
            mean_over_ignored: see `pixel_cross_entropy`.
            window, window_stride: (height, width) of sliding-window inference in pixels; None for the whole image.
            window_batch: windows predicted at once; 0 is all, which is fastest and takes most memory.
            flip: also predict the mirrored image and average.
        """
        super().__init__()
        self.backbone = backbone
        self.sem_seg_head = sem_seg_head
        self.register_buffer("pixel_mean", torch.tensor(pixel_mean).view(-1, 1, 1), False)
        self.register_buffer("pixel_std", torch.tensor(pixel_std).view(-1, 1, 1), False)
        self.ignore_label = ignore_label
        self.mean_over_ignored = mean_over_ignored
        self.window, self.window_stride, self.window_batch = window, window_stride, window_batch
        self.flip = flip

    @classmethod
    def from_config(cls, cfg):
        backbone = build_backbone(cfg)
        test = cfg.TEST.SEM_SEG
        return {
            "backbone": backbone,
            "sem_seg_head": build_head(cfg, backbone.output_shape()),
            "pixel_mean": cfg.MODEL.PIXEL_MEAN,
            "pixel_std": cfg.MODEL.PIXEL_STD,
            "ignore_label": cfg.MODEL.SEM_SEG_HEAD.IGNORE_VALUE,
            "mean_over_ignored": cfg.MODEL.MIC.REFERENCE.MEAN_OVER_IGNORED,
            "window": test.WINDOW or None,
            "window_stride": test.WINDOW_STRIDE or None,
            "window_batch": test.WINDOW_BATCH,
            "flip": test.FLIP,
        }

    @property
    def device(self):
        return self.pixel_mean.device

    def preprocess_image(self, samples):
        """Normalise samples' "image" (CxHxW) and pad them with zeros to one size."""
        images = [(sample["image"].to(self.device, non_blocking=True) - self.pixel_mean) / self.pixel_std for sample in samples]
        return ImageList.from_tensors(images, self.backbone.size_divisibility)

    def labels(self, samples):
        """Samples' "sem_seg" (HxW) as NxHxW long, padded with the ignored label like their images."""
        labels = [sample["sem_seg"].to(self.device, non_blocking=True).long() for sample in samples]
        return ImageList.from_tensors(labels, self.backbone.size_divisibility, self.ignore_label).tensor

    def observe(self, images):
        """Pass normalised images (NxCxHxW) through the network in training."""
        features = self.backbone(images)
        return Observation(self.sem_seg_head(features), features)

    def context_features(self, backbone, images):
        """{name: map} as in Observation.features, by another backbone on the same images."""
        return backbone(images)

    def losses(self, observation, labels, weights=None):
        """{"loss_seg"}: cross-entropy of an Observation against labels NxHxW with weights NxHxW in [0, 1]."""
        return {"loss_seg": self.cross_entropy(observation.logits, labels, weights)}

    def cross_entropy(self, logits, labels, weights):
        return pixel_cross_entropy(logits, labels, weights, self.ignore_label, self.mean_over_ignored)

    def predict(self, images):
        """Logits NxKxHxW of whole normalised images at their own size, for the teacher and for inference."""
        return resize(self.sem_seg_head(self.backbone(images)), images.shape[-2:])

    def forward(self, samples):
        images = self.preprocess_image(samples)
        if self.training:
            return self.losses(self.observe(images.tensor), self.labels(samples))
        return [
            {"sem_seg": self.scores(images.tensor[index : index + 1], size, sample)}
            for index, (sample, size) in enumerate(zip(samples, images.image_sizes, strict=True))
        ]

    def scores(self, image, size, sample):
        """Class probabilities KxHxW at the sample's original size; `size` is the image without padding."""
        probabilities = self.probabilities(image)
        if self.flip:
            probabilities = (probabilities + self.probabilities(image.flip(3)).flip(3)) / 2
        probabilities = probabilities[..., : size[0], : size[1]]
        return resize(probabilities, (sample.get("height", size[0]), sample.get("width", size[1])))[0]

    def probabilities(self, image):
        if self.window is None:
            return self.predict(image).softmax(dim=1)
        return slide(self.predict, image, self.window, self.window_stride, batch=self.window_batch).softmax(dim=1)


def build_head(cfg, input_shape):
    """The decoder MODEL.SEM_SEG_HEAD.NAME; a value out of range becomes a UserError."""
    name = cfg.MODEL.SEM_SEG_HEAD.NAME
    if name not in SEM_SEG_HEADS_REGISTRY:
        hint = did_you_mean(name, [known for known, _ in SEM_SEG_HEADS_REGISTRY])
        raise UserError(f"MODEL.SEM_SEG_HEAD.NAME: '{name}' is not a registered decoder.{hint}")
    with user_errors("MODEL.SEM_SEG_HEAD"):
        return build_sem_seg_head(cfg, input_shape)
