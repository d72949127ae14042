"""The language-conditioned decoder of LC-MSM (Pattern Recognition 148, 2024, article 110201): text meets the image at stride 4.

The score map and its spatial block follow LSeg (Li et al., ICLR 2022).
"""

import logging
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from detectron2.config import CfgNode
from detectron2.layers import ShapeSpec
from torch import Tensor, nn

from mic_det.language import open_bank

from .base import DecodeHead, build_head

logger = logging.getLogger(__name__)


class TextEmbeddings(nn.Module):
    """A text bank, projected to the width of the image's features: only the projection learns."""

    bank: Tensor

    def __init__(self, bank: Tensor, width: int) -> None:
        """
        Args:
            bank: KxD float tensor of class embeddings.
            width: of the features that they are compared with.
        """
        super().__init__()
        self.register_buffer("bank", bank.clone())
        self.projection = nn.Linear(bank.shape[1], width)

    def forward(self) -> Tensor:
        """KxC."""
        return self.projection(self.bank)


class SpatialBlock(nn.Module):
    """Smooths score maps: one 3x3 filter that all classes share, plus the largest score of each place, applied `depth` times.

    ReLU stands between the applications, none after the last (LSeg, section 3.3: the BottleneckBlock).
    """

    def __init__(self, depth: int = 2) -> None:
        super().__init__()
        self.depth = depth
        self.conv = nn.Conv2d(1, 1, 3, padding=1)

    def forward(self, scores: Tensor) -> Tensor:
        """NxKxHxW -> NxKxHxW."""
        for index in range(self.depth):
            scores = scores.relu() if index else scores
            smooth = self.conv(scores.flatten(0, 1)[:, None])[:, 0].view_as(scores)
            scores = smooth + scores.amax(dim=1, keepdim=True)
        return scores


def cosine_scores(features: Tensor, text: Tensor, temperature: float) -> Tensor:
    """Cosines of NxCxHxW features and KxC text, divided by `temperature`: NxKxHxW."""
    features, text = F.normalize(features.float(), dim=1), F.normalize(text.float(), dim=1)
    return torch.einsum("nchw,kc->nkhw", features, text) / temperature


class LanguageHead(nn.Module):
    """A decoder whose classifier also sees how well each place fits each class's text; {name: NxCxHxW} -> logits NxKxhxw.

    Attributes:
        stride: as in DecodeHead.
    """

    def __init__(self, decoder: DecodeHead, text: TextEmbeddings, temperature: float = 0.07) -> None:
        """
        Args:
            decoder: DecodeHead; its classifier is replaced by one that takes K more channels.
            text: TextEmbeddings of the decoder's width, for its K classes.
            temperature: divides the cosines; a constant, as it turns out to be in the published code.
        """
        super().__init__()
        if temperature <= 0:
            raise ValueError(f"LANGUAGE_HEAD.TEMPERATURE must be positive, got {temperature}.")
        self.decoder = decoder
        self.decoder.widen_classifier(len(text.bank))
        self.text = text
        self.temperature = temperature
        self.spatial = SpatialBlock()
        self.stride = decoder.stride

    def forward(self, features: Mapping[str, Tensor]) -> Tensor:
        values = self.decoder.embed(features)
        scores = self.spatial(cosine_scores(values, self.text(), self.temperature))
        return self.decoder.classify(torch.cat([values, scores.to(values.dtype)], dim=1))


def build_language_head(cfg: CfgNode, input_shape: Mapping[str, ShapeSpec]) -> nn.Module:
    """A second decoder like the first; with a text bank, a LanguageHead around it."""
    decoder, head = build_head(cfg, input_shape), cfg.MODEL.LANGUAGE_HEAD
    bank = open_bank(head.TEXT_BANK, cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES)
    if bank is None:
        return decoder
    log = logger.info if bank.model else logger.warning
    log("Language decoder: %s.", bank)
    return LanguageHead(decoder, TextEmbeddings(bank.embeddings, decoder.classifier.in_channels), head.TEMPERATURE)
