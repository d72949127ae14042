"""HRDA: high-resolution, context-aware segmentation (Hoyer et al., HRDA, ECCV 2022) around any encoder and decoder."""

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from detectron2.config import CfgNode, configurable
from detectron2.modeling import META_ARCH_REGISTRY, SEM_SEG_HEADS_REGISTRY
from torch import nn

from mic_det.modeling.decode_head.base import resize
from mic_det.modeling.meta_arch.encoder_decoder import EncoderDecoder, Observation
from mic_det.modeling.sliding_window import slide

OUTPUTS = ("fused", "lr", "hr", "att")


@META_ARCH_REGISTRY.register()
class HRDA(EncoderDecoder):
    """Fuses the whole image at half resolution with details at full resolution by a learned scale attention.

    Encoder and decoder are shared by both resolutions. In training the detail is one random crop; in evaluation overlapping
    windows cover the image.
    """

    context_scale = 0.5

    @configurable
    def __init__(
        self,
        scale_attention: nn.Module | None,
        detail_crop: Sequence[int] = (512, 512),
        detail_weight: float = 0.1,
        context_weight: float = 0.0,
        overlap: bool = True,
        fixed_attention: float | None = None,
        output: str = "fused",
        offset_below_limit: bool = False,
        fixed_divisor: int | None = None,
        attended_context_loss: bool = False,
        **network: Any,
    ) -> None:
        """
        Args:
            scale_attention: head, {name: map} -> logits with 1 channel or one per class; None when the attention is fixed.
            detail_crop: (height, width) of the detail crop in pixels of the full image, multiples of twice the head's stride.
            detail_weight, context_weight: lambda of the losses of the detail crop and of the context alone; the fused
                prediction has the rest.
            overlap: windows of evaluation overlap by half instead of not at all.
            fixed_attention: constant in [0, 1] in place of a learned attention.
            output: evaluation gives "fused" scores, those of the context alone ("lr") or of the details alone ("hr"), or
                a single map of the attention given to details ("att").
            offset_below_limit: the crop never reaches the bottom and right border (published).
            fixed_divisor: crop corners are multiples of this whatever the head's stride (published: 8).
            attended_context_loss: the context's own loss is taken after weighting by the attention (published).
            network: arguments of EncoderDecoder.
        """
        super().__init__(**network)
        self.scale_attention = scale_attention
        self.detail_crop = tuple(detail_crop)
        self.detail_weight, self.context_weight = detail_weight, context_weight
        self.overlap, self.fixed_attention = overlap, fixed_attention
        self.offset_below_limit = offset_below_limit
        self.attended_context_loss = attended_context_loss
        self.stride: int = self.sem_seg_head.stride
        # A corner on this grid falls between cells of the context's map as well.
        self.divisor = fixed_divisor or round(self.stride / self.context_scale)
        if any(side % self.divisor for side in self.detail_crop):
            raise ValueError(f"HRDA.DETAIL_CROP {self.detail_crop} must be a multiple of {self.divisor}.")
        if output not in OUTPUTS:
            raise ValueError(f"HRDA.OUTPUT must be one of {', '.join(OUTPUTS)}, got '{output}'.")
        self.output = output

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        arguments = super().from_config(cfg)
        hrda, reference = cfg.MODEL.HRDA, cfg.MODEL.MIC.REFERENCE
        attention = None
        if hrda.FIXED_ATTENTION < 0:
            head = SEM_SEG_HEADS_REGISTRY.get(cfg.MODEL.SEM_SEG_HEAD.NAME)
            channels = cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES if hrda.CLASSWISE_ATTENTION else 1
            attention = head.scale_attention(cfg, arguments["backbone"].output_shape(), channels)
        return {
            **arguments,
            "scale_attention": attention,
            "detail_crop": hrda.DETAIL_CROP,
            "detail_weight": hrda.DETAIL_WEIGHT,
            "context_weight": hrda.CONTEXT_WEIGHT,
            "overlap": hrda.OVERLAP,
            "fixed_attention": hrda.FIXED_ATTENTION if attention is None else None,
            "output": hrda.OUTPUT,
            "offset_below_limit": reference.HRDA_OFFSET_BELOW_LIMIT,
            "fixed_divisor": 8 if reference.HRDA_FIXED_DIVISOR else None,
            "attended_context_loss": reference.HRDA_ATTENDED_CONTEXT_LOSS,
        }

    def context(self, images: torch.Tensor) -> torch.Tensor:
        """The images NxCxHxW at `context_scale`."""
        return F.interpolate(images, scale_factor=self.context_scale, mode="bilinear", align_corners=False)

    def context_features(self, backbone: nn.Module, images: torch.Tensor) -> dict[str, torch.Tensor]:
        return backbone(self.context(images))

    def attend(self, features: dict[str, torch.Tensor], logits: torch.Tensor) -> torch.Tensor:
        """Attention to details in [0, 1], at the size of the context's logits."""
        if self.scale_attention is None:
            assert self.fixed_attention is not None, "the attention is learned or fixed"
            return torch.full_like(logits[:, :1], self.fixed_attention)
        return resize(self.scale_attention(features).sigmoid(), logits.shape[-2:])

    def sample_corner(self, size: Sequence[int]) -> list[int]:
        """(top, left) of a random detail crop, on the grid of `divisor` pixels."""
        limits = [max(length - side, 0) for length, side in zip(size, self.detail_crop, strict=True)]
        counts = [(limit + 1) // self.divisor if self.offset_below_limit else limit // self.divisor + 1 for limit in limits]
        # Drawn on the CPU: the corner decides which pixels are read, and asking the device would stall it.
        return [self.divisor * int(torch.randint(max(count, 1), ())) for count in counts]

    def fuse(self, attention: torch.Tensor, context_logits: torch.Tensor, detail_logits: torch.Tensor) -> torch.Tensor:
        """up(a) * z_d + up((1 - a) * z_c) on the grid of the details (equation 6)."""
        size = detail_logits.shape[-2:]
        return resize(attention, size) * detail_logits + resize((1 - attention) * context_logits, size)

    def observe(self, images: torch.Tensor, head: nn.Module | None = None) -> Observation:
        head, size = head or self.sem_seg_head, images.shape[-2:]
        features = self.backbone(self.context(images))
        context_logits = head(features)
        attention = self.attend(features, context_logits)
        top, left = self.sample_corner(size)
        height, width = (min(side, length) for side, length in zip(self.detail_crop, size, strict=True))
        box = (slice(top, top + height), slice(left, left + width))
        detail_logits = head(self.backbone(images[..., box[0], box[1]]))

        inside = torch.zeros_like(attention)
        rows, columns = scaled(box, self.context_scale / self.stride)
        inside[..., rows, columns] = 1
        attention = attention * inside
        canvas_size = [length // self.stride for length in size]
        canvas = detail_logits.new_zeros(*detail_logits.shape[:2], *canvas_size)
        rows, columns = scaled(box, 1 / self.stride, detail_logits.shape[-2:])
        canvas[..., rows, columns] = detail_logits
        details = {"box": box, "detail": detail_logits, "context": context_logits, "attention": attention}
        return Observation(self.fuse(attention, context_logits, canvas), features, details)

    def losses(
        self, observation: Observation, labels: torch.Tensor, weights: torch.Tensor | None = None
    ) -> dict[str, torch.Tensor]:
        """{"loss_seg", "loss_seg_detail"} and, with `context_weight`, "loss_seg_context", factors included."""
        details, box = observation.details, (slice(None), *observation.details["box"])
        crop_weights = None if weights is None else weights[box]
        fused_weight = 1 - self.detail_weight - self.context_weight
        losses = {"loss_seg": fused_weight * self.cross_entropy(observation.logits, labels, weights)}
        if self.detail_weight > 0:
            loss = self.cross_entropy(details["detail"], labels[box], crop_weights)
            losses["loss_seg_detail"] = self.detail_weight * loss
        if self.context_weight > 0:
            logits = details["context"]
            if self.attended_context_loss:
                logits = (1 - details["attention"]) * logits
            losses["loss_seg_context"] = self.context_weight * self.cross_entropy(logits, labels, weights)
        return losses

    def predict(self, images: torch.Tensor, head: nn.Module | None = None) -> torch.Tensor:
        head, size = head or self.sem_seg_head, images.shape[-2:]
        padded = pad_to_multiple(images, math.lcm(self.divisor, 2 * self.stride))
        features = self.backbone(self.context(padded))
        context_logits = head(features)
        attention = self.attend(features, context_logits)
        if self.output == "lr":
            logits = context_logits
        else:
            detail_logits = self.slide_details(padded, head)
            if self.output == "hr":
                logits = detail_logits
            else:
                logits = self.fuse(attention, context_logits, detail_logits)
            if self.output == "att":
                logits = (resize(attention, logits.shape[-2:]) * logits.softmax(dim=1)).sum(dim=1, keepdim=True)
        return resize(logits, padded.shape[-2:])[..., : size[0], : size[1]]

    def slide_details(self, images: torch.Tensor, head: nn.Module) -> torch.Tensor:
        """Detail logits of the whole image, averaged over windows of the detail crop's size."""
        step = [side // 2 if self.overlap else side for side in self.detail_crop]
        return slide(lambda crops: head(self.backbone(crops)), images, self.detail_crop, step, self.stride, self.window_batch)

    def probabilities(self, logits: torch.Tensor) -> torch.Tensor:
        """Class probabilities, or the attention as it is."""
        return logits if self.output == "att" else super().probabilities(logits)


def scaled(box: tuple[slice, ...], factor: float, size: Sequence[int] | None = None) -> tuple[slice, ...]:
    """A box of slices in pixels on a coarser grid; `size` fixes its height and width there."""
    starts = [int(side.start * factor) for side in box]
    size = size or [int(side.stop * factor) - start for side, start in zip(box, starts, strict=True)]
    return tuple(slice(start, start + length) for start, length in zip(starts, size, strict=True))


def pad_to_multiple(images: torch.Tensor, multiple: int) -> torch.Tensor:
    """Images NxCxHxW with zeros below and to the right, so that both sides are multiples."""
    height, width = images.shape[-2:]
    return F.pad(images, (0, -width % multiple, 0, -height % multiple))
