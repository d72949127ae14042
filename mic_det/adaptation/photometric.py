"""Colour jitter and blur of the masked view (MIC, CVPR 2023, section 4.1; Tranheden et al., DACS, WACV 2021).

Both work on batches in RGB in [0, 1] and draw strengths afresh for every image of every iteration.
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from detectron2.config import CfgNode, configurable
from torchvision.transforms.v2 import functional as TF

BLUR_RADIUS = 4  # pixels: 3.5 standard deviations at the largest published sigma


def jitter(images: torch.Tensor, strength: float) -> torch.Tensor:
    """Brightness, contrast, saturation and hue changed by up to `strength`, per image, in that order.

    Args:
        images: Nx3xHxW RGB in [0, 1].
        strength: factors are drawn from [1 - strength, 1 + strength], the hue shift from +-strength / 2 of the colour circle.
    """
    factors = torch.empty(4, len(images)).uniform_(-strength, strength).tolist()
    jittered = []
    for image, brightness, contrast, saturation, hue in zip(images, *factors, strict=True):
        image = TF.adjust_brightness(image, 1 + brightness)
        image = TF.adjust_contrast(image, 1 + contrast)
        image = TF.adjust_saturation(image, 1 + saturation)
        jittered.append(TF.adjust_hue(image, hue / 2))
    return torch.stack(jittered)


def kornia_jitter(images: torch.Tensor, strength: float) -> torch.Tensor:
    """Jitter as kornia 0.5.8, which the published segmentation code uses, understands it; arguments as in `jitter`.

    Brightness is added and contrast multiplies about 0, the hue moves by up to +-strength of the whole circle, and the four
    come in a random order.
    """
    factors = torch.empty(4, len(images)).uniform_(-strength, strength).tolist()
    changes = (
        lambda image, amount: image + amount,
        lambda image, amount: image * (1 + amount),
        lambda image, amount: scale_saturation(image, 1 + amount),
        TF.adjust_hue,
    )
    order = torch.randperm(4).tolist()
    jittered = []
    for index, image in enumerate(images):
        for kind in order:
            image = changes[kind](image, factors[kind][index]).clamp(0, 1)
        jittered.append(image)
    return torch.stack(jittered)


def scale_saturation(image: torch.Tensor, factor: float) -> torch.Tensor:
    """Multiply the saturation of HSV, at most to 1: every channel keeps its share of the distance to the largest."""
    value = image.amax(dim=-3, keepdim=True)
    spread = (value - image.amin(dim=-3, keepdim=True)).clamp(min=1e-8)
    return value - (value - image) * (value / spread).clamp(max=factor)


def gaussian_blur(images: torch.Tensor, sigmas: torch.Tensor) -> torch.Tensor:
    """Separable Gaussian blur with reflected borders; one standard deviation in pixels per image (N)."""
    count, channels, height, width = images.shape
    radius = min(BLUR_RADIUS, height - 1, width - 1)
    offsets = torch.arange(-radius, radius + 1, device=images.device, dtype=images.dtype)
    kernel = torch.softmax(-0.5 * (offsets / sigmas.to(images)[:, None]) ** 2, dim=1)
    kernel = kernel.repeat_interleave(channels, 0)[:, None]
    padded = F.pad(images, (radius,) * 4, mode="reflect").reshape(1, count * channels, height + 2 * radius, width + 2 * radius)
    blurred = F.conv2d(padded, kernel[:, :, None], groups=count * channels)
    blurred = F.conv2d(blurred, kernel[..., None], groups=count * channels)
    return blurred.reshape(images.shape)


class PhotometricAugmentation:
    """Random jitter, then random blur, decided per image and iteration, or per batch and iteration."""

    @configurable
    def __init__(
        self,
        jitter_strength: float,
        jitter_prob: float,
        blur_prob: float,
        blur_sigma: Sequence[float],
        pixel_mean: Sequence[float],
        pixel_std: Sequence[float],
        is_bgr: bool,
        kornia: bool = False,
        per_batch: bool = False,
    ) -> None:
        """
        Args:
            jitter_strength: see `jitter`; 0 turns jitter off.
            jitter_prob, blur_prob: probability in [0, 1] that an image is changed.
            blur_sigma: (low, high) of the blur's standard deviation in pixels.
            pixel_mean, pixel_std: the network's normalisation on the 0..255 scale, in its channel order.
            is_bgr: whether that order is BGR.
            kornia: use `kornia_jitter`.
            per_batch: all images of a batch are changed or none (published); how much is drawn for each all the same.
        """
        self.jitter_strength = jitter_strength
        self.jitter_prob = jitter_prob if jitter_strength > 0 else 0.0
        self.blur_prob = blur_prob
        self.blur_sigma = tuple(blur_sigma)
        self.mean = torch.tensor(pixel_mean).view(-1, 1, 1) / 255
        self.std = torch.tensor(pixel_std).view(-1, 1, 1) / 255
        self.is_bgr = is_bgr
        self.jitter = kornia_jitter if kornia else jitter
        self.per_batch = per_batch

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        augment = cfg.MODEL.MIC.AUGMENT
        return {
            "jitter_strength": augment.JITTER,
            "jitter_prob": augment.JITTER_PROB,
            "blur_prob": augment.BLUR_PROB,
            "blur_sigma": augment.BLUR_SIGMA,
            "pixel_mean": cfg.MODEL.PIXEL_MEAN,
            "pixel_std": cfg.MODEL.PIXEL_STD,
            "is_bgr": cfg.INPUT.FORMAT == "BGR",
            "kornia": cfg.MODEL.MIC.REFERENCE.KORNIA_JITTER,
            "per_batch": cfg.MODEL.MIC.REFERENCE.BATCH_AUGMENTATION,
        }

    @property
    def changes(self) -> bool:
        """Whether it ever changes an image."""
        return self.jitter_prob > 0 or self.blur_prob > 0

    def denormalise(self, images: torch.Tensor) -> torch.Tensor:
        """Normalised images in the network's channel order -> RGB in [0, 1]."""
        images = images * self.std.to(images) + self.mean.to(images)
        return (images.flip(1) if self.is_bgr else images).clamp(0, 1)

    def normalise(self, images: torch.Tensor) -> torch.Tensor:
        """Inverse of `denormalise`."""
        images = images.flip(1) if self.is_bgr else images
        return (images - self.mean.to(images)) / self.std.to(images)

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """Augment normalised images (Nx3xHxW); the chosen images are new tensors, the input is not changed."""
        # Drawn on the CPU: which images change decides what is computed, and asking the device would stall it.
        drawn = torch.rand(2, 1 if self.per_batch else len(images))
        do_jitter, do_blur = (drawn < torch.tensor([[self.jitter_prob], [self.blur_prob]])).expand(2, len(images))
        sigmas = torch.empty(len(images)).uniform_(*self.blur_sigma)
        changed = []
        for index, (jitters, blurs) in enumerate(zip(do_jitter.tolist(), do_blur.tolist(), strict=True)):
            image = images[index : index + 1]
            if jitters or blurs:
                image = self.denormalise(image)
                image = self.jitter(image, self.jitter_strength) if jitters else image
                image = gaussian_blur(image, sigmas[index : index + 1]) if blurs else image
                image = self.normalise(image)
            changed.append(image)
        return torch.cat(changed)
