"""Masked consistency on the mask branch of a two-stage detector."""

import torch
import torch.nn.functional as F
from detectron2.modeling.roi_heads import StandardROIHeads, select_foreground_proposals
from detectron2.structures import Instances

from mic_det.adaptation import PseudoBoxes
from mic_det.modeling.sample_weights import SampleWeights


def weighted_mask_loss(
    heads: StandardROIHeads,
    features: dict[str, torch.Tensor],
    samples: list[Instances],
    labels: list[PseudoBoxes],
    weights: SampleWeights,
) -> torch.Tensor:
    """Binary cross-entropy of the foreground samples' masks, each sample weighted like its class.

    Args:
        heads: StandardROIHeads with a mask branch.
        features: dict of feature maps.
        samples: list[Instances], the RoIs sampled for the box head.
        labels: list[PseudoBoxes] whose instances have "gt_masks".
        weights: SampleWeights.
    """
    samples, _ = select_foreground_proposals(samples, heads.num_classes)
    boxes = [sample.proposal_boxes for sample in samples]
    pooled = heads.mask_pooler([features[name] for name in heads.mask_in_features], boxes)
    logits = heads.mask_head.layers(pooled)
    side = logits.shape[-1]
    classes = torch.cat([sample.gt_classes for sample in samples])
    index = torch.zeros_like(classes) if logits.shape[1] == 1 else classes
    logits = logits[torch.arange(len(classes), device=logits.device), index]
    targets = torch.cat([sample.gt_masks.crop_and_resize(sample.proposal_boxes.tensor, side) for sample in samples])
    loss = F.binary_cross_entropy_with_logits(logits, targets.to(logits.dtype), reduction="none").mean(dim=(1, 2))
    confidence = logits.sigmoid().sub(0.5).abs().mul(2).mean(dim=(1, 2)).split([len(sample) for sample in samples])
    trust = [
        weights(torch.ones_like(sample.gt_classes, dtype=torch.bool), sample.proposal_boxes, label, own)
        for sample, label, own in zip(samples, labels, confidence, strict=True)
    ]
    return heads.mask_head.loss_weight * (torch.cat(trust) * loss).sum() / max(len(loss), 1)
