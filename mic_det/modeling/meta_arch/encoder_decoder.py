"""A semantic segmentation network: encoder and decoder, trained on crops, tested on whole images or windows."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.modeling import META_ARCH_REGISTRY, Backbone, build_backbone
from detectron2.structures import ImageList
from torch import nn

from mic_det.errors import UserError
from mic_det.modeling.decode_head.base import build_head, resize
from mic_det.modeling.decode_head.language import build_language_head
from mic_det.modeling.pixel_loss import pixel_cross_entropy
from mic_det.modeling.sliding_window import slide

DECODERS = ("plain", "language", "mean")


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
    pixel_mean: torch.Tensor
    pixel_std: torch.Tensor
    sem_seg_head: Any  # a module with `stride`

    @configurable
    def __init__(
        self,
        backbone: Backbone,
        sem_seg_head: nn.Module,
        pixel_mean: Sequence[float],
        pixel_std: Sequence[float],
        language_head: nn.Module | None = None,
        ignore_label: int = 255,
        mean_over_ignored: bool = False,
        window: Sequence[int] | None = None,
        window_stride: Sequence[int] | None = None,
        window_batch: int = 0,
        flip: bool = False,
        test_decoder: str = "plain",
    ) -> None:
        """
        Args:
            backbone: detectron2 Backbone.
            sem_seg_head: decoder, {name: map} -> NxKxhxw; has `stride`.
            pixel_mean, pixel_std: per channel, on the 0..255 scale.
            language_head: second decoder, which sees the masked images and labels the target (LC-MSM); None for one decoder.
            ignore_label: label of pixels that take no part.
            mean_over_ignored: see `pixel_cross_entropy`.
            window, window_stride: (height, width) of sliding-window inference in pixels; None for the whole image.
            window_batch: windows predicted at once; 0 is all, which is fastest and takes most memory.
            flip: also predict the mirrored image and average the probabilities.
            test_decoder: evaluation takes the "plain" decoder, the "language" decoder or the "mean" of their probabilities.
        """
        super().__init__()
        if test_decoder not in DECODERS:
            raise UserError(f"TEST.SEM_SEG.DECODER must be one of {', '.join(DECODERS)}, got '{test_decoder}'.")
        if test_decoder != "plain" and language_head is None:
            raise UserError(f"TEST.SEM_SEG.DECODER {test_decoder} needs MODEL.LANGUAGE_HEAD.ENABLED True.")
        self.backbone = backbone
        self.sem_seg_head = sem_seg_head
        self.language_head = language_head
        self.register_buffer("pixel_mean", torch.tensor(pixel_mean).view(-1, 1, 1), False)
        self.register_buffer("pixel_std", torch.tensor(pixel_std).view(-1, 1, 1), False)
        self.ignore_label = ignore_label
        self.mean_over_ignored = mean_over_ignored
        self.window, self.window_stride, self.window_batch = window, window_stride, window_batch
        self.flip = flip
        self.test_decoder = test_decoder

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        backbone = build_backbone(cfg)
        test = cfg.TEST.SEM_SEG
        language = build_language_head(cfg, backbone.output_shape()) if cfg.MODEL.LANGUAGE_HEAD.ENABLED else None
        return {
            "backbone": backbone,
            "sem_seg_head": build_head(cfg, backbone.output_shape()),
            "pixel_mean": cfg.MODEL.PIXEL_MEAN,
            "pixel_std": cfg.MODEL.PIXEL_STD,
            "language_head": language,
            "ignore_label": cfg.MODEL.SEM_SEG_HEAD.IGNORE_VALUE,
            "mean_over_ignored": cfg.MODEL.MIC.REFERENCE.MEAN_OVER_IGNORED,
            "window": test.WINDOW or None,
            "window_stride": test.WINDOW_STRIDE or None,
            "window_batch": test.WINDOW_BATCH,
            "flip": test.FLIP,
            "test_decoder": test.DECODER,
        }

    @property
    def consistency_head(self) -> nn.Module:
        """The decoder that consistency is asked of: the teacher's labels complete images, the student's sees masked ones."""
        return self.sem_seg_head if self.language_head is None else self.language_head

    @property
    def test_heads(self) -> list[nn.Module]:
        """The decoders whose probabilities evaluation averages."""
        plain, language = self.sem_seg_head, self.language_head
        heads = {"plain": [plain], "language": [language], "mean": [plain, language]}
        return heads[self.test_decoder]

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.pixel_mean.device

    def preprocess_image(self, samples: list[dict]) -> ImageList:
        """Normalise samples' "image" (CxHxW) and pad them with zeros to one size."""
        images = [(sample["image"].to(self.device, non_blocking=True) - self.pixel_mean) / self.pixel_std for sample in samples]
        return ImageList.from_tensors(images, self.backbone.size_divisibility)

    def labels(self, samples: list[dict]) -> torch.Tensor:
        """Samples' "sem_seg" (HxW) as NxHxW long, padded with the ignored label like their images."""
        labels = [sample["sem_seg"].to(self.device, non_blocking=True).long() for sample in samples]
        return ImageList.from_tensors(labels, self.backbone.size_divisibility, self.ignore_label).tensor

    def observe(self, images: torch.Tensor, head: nn.Module | None = None) -> Observation:
        """Pass normalised images (NxCxHxW) through the encoder and a decoder, by default the plain one, in training."""
        features = self.backbone(images)
        return Observation((head or self.sem_seg_head)(features), features)

    def context_features(self, backbone: nn.Module, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """{name: map} as in Observation.features, by another backbone on the same images."""
        return backbone(images)

    def losses(
        self, observation: Observation, labels: torch.Tensor, weights: torch.Tensor | None = None
    ) -> dict[str, torch.Tensor]:
        """{"loss_seg"}: cross-entropy of an Observation against labels NxHxW with weights NxHxW in [0, 1]."""
        return {"loss_seg": self.cross_entropy(observation.logits, labels, weights)}

    def cross_entropy(self, logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor | None) -> torch.Tensor:
        """`pixel_cross_entropy` with the network's settings."""
        return pixel_cross_entropy(logits, labels, weights, self.ignore_label, self.mean_over_ignored)

    def predict(self, images: torch.Tensor, head: nn.Module | None = None) -> torch.Tensor:
        """Logits NxKxHxW of whole normalised images at their own size, for the teacher and for inference."""
        return resize((head or self.sem_seg_head)(self.backbone(images)), images.shape[-2:])

    def forward(self, samples: list[dict]) -> dict[str, torch.Tensor] | list[dict[str, torch.Tensor]]:
        """`losses` in training; in evaluation {"sem_seg": KxHxW probabilities at its original size} per sample."""
        images = self.preprocess_image(samples)
        if self.training:
            return self.losses(self.observe(images.tensor), self.labels(samples))
        return [
            {"sem_seg": self.scores(images.tensor[index : index + 1], size, sample)}
            for index, (sample, size) in enumerate(zip(samples, images.image_sizes, strict=True))
        ]

    def scores(self, image: torch.Tensor, size: tuple[int, int], sample: dict) -> torch.Tensor:
        """Class probabilities KxHxW at the sample's original size; `size` is the image without padding.

        As published, windows average logits, which are resized to the original size and only there become probabilities. The
        image with its mirror image, and the `test_heads`, average these probabilities.
        """
        original = sample.get("height", size[0]), sample.get("width", size[1])
        found = []
        for head in self.test_heads:
            logits = [self.logits(image, head)]
            if self.flip:
                logits.append(self.logits(image.flip(3), head).flip(3))
            found += [self.probabilities(resize(each[..., : size[0], : size[1]], original)) for each in logits]
        return (found[0] if len(found) == 1 else torch.stack(found).mean(dim=0))[0]

    def probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        """What evaluation gives for logits NxKxHxW."""
        return logits.softmax(dim=1)

    def logits(self, image: torch.Tensor, head: nn.Module) -> torch.Tensor:
        """What a decoder says of the whole image, at once or by windows, whose mean it is where they overlap."""
        if self.window is None:
            return self.predict(image, head)
        network = partial(self.predict, head=head)
        return slide(network, image, self.window, self.window_stride, batch=self.window_batch)
