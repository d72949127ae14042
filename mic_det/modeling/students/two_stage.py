"""Faster, Mask and Cascade R-CNN: an RPN and box heads, each sampled anchor and RoI weighted by how far its label is trusted."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from detectron2.config import CfgNode
from detectron2.modeling import GeneralizedRCNN
from detectron2.modeling.proposal_generator import RPN
from detectron2.modeling.roi_heads import CascadeROIHeads, FastRCNNConvFCHead, FastRCNNOutputLayers, StandardROIHeads
from detectron2.structures import Boxes, ImageList, Instances

from mic_det.adaptation import DomainFeatures, PseudoBoxes
from mic_det.adaptation.domain_classifiers import ScaleGradient
from mic_det.errors import UserError
from mic_det.modeling.students.base import StudentAdapter, instances_of, labelled_instances, register_student
from mic_det.modeling.students.mask_branch import weighted_mask_loss


@register_student(GeneralizedRCNN)
class TwoStageAdapter(StudentAdapter):
    """GeneralizedRCNN with RPN and StandardROIHeads or CascadeROIHeads.

    With weights of one and box regression, `losses` equals detectron2's own losses.
    """

    def __init__(self, cfg: CfgNode) -> None:
        super().__init__(cfg)
        reference = cfg.MODEL.MIC.REFERENCE
        self.rpn_weight_gradient = reference.RPN_WEIGHT_GRADIENT
        self.batch_proposals = reference.BATCH_PROPOSALS
        self.target_image_box = reference.TARGET_IMAGE_BOX

    def check(self, detector: GeneralizedRCNN) -> None:
        rpn, heads = detector.proposal_generator, detector.roi_heads
        if not isinstance(rpn, RPN) or not isinstance(heads, StandardROIHeads):
            raise UserError(
                f"MODEL.MIC.STUDENT: the losses of {type(detector).__name__} with {type(rpn).__name__} and "
                f"{type(heads).__name__} cannot be weighted by pseudo-label quality; an RPN and StandardROIHeads or "
                "CascadeROIHeads are needed (MODEL.PROPOSAL_GENERATOR.NAME, MODEL.ROI_HEADS.NAME)."
            )
        if self.learn_masks and not heads.mask_on:
            raise UserError("MODEL.MIC.PSEUDO_LABELS.MASKS needs a student with a mask branch: set MODEL.MASK_ON True.")

    def predict(self, detector: GeneralizedRCNN, images: ImageList) -> list[Instances]:
        features = detector.backbone(images.tensor)
        proposals, _ = detector.proposal_generator(images, features, None)
        if self.learn_masks:
            return detector.roi_heads(images, features, proposals, None)[0]
        return detector.roi_heads._forward_box(features, proposals)

    def losses(self, detector: GeneralizedRCNN, images: ImageList, labels: list[PseudoBoxes]) -> dict[str, torch.Tensor]:
        features = detector.backbone(images.tensor)
        proposals, losses = self.rpn_losses(detector.proposal_generator, images, features, labels)
        samples = detector.roi_heads.label_and_sample_proposals(proposals, instances_of(labels))
        losses.update(self.box_losses(detector.roi_heads, features, samples, labels))
        if self.learn_masks:
            losses["loss_mask"] = weighted_mask_loss(detector.roi_heads, features, samples, labels, self.weights)
        return losses

    def rpn_losses(
        self, rpn: RPN, images: ImageList, features: dict[str, torch.Tensor], labels: list[PseudoBoxes]
    ) -> tuple[list[Instances], dict[str, torch.Tensor]]:
        """Return (proposals, losses) like detectron2's `RPN.forward`, with a weighted objectness loss."""
        anchors, logits, deltas = rpn_outputs(rpn, features)
        anchor_labels, matched_boxes = rpn.label_and_sample_anchors(anchors, instances_of(labels))
        losses = rpn.losses(anchors, logits, anchor_labels, deltas, matched_boxes) if self.box_regression else {}
        every_anchor = Boxes.cat(anchors)
        total = logits[0].new_zeros(())
        for scores, targets, label in zip(torch.cat(logits, dim=1), anchor_labels, labels, strict=True):
            sampled = torch.nonzero(targets >= 0).squeeze(1)
            scores, targets, boxes = scores[sampled], targets[sampled].to(scores.dtype), every_anchor[sampled]
            if self.rpn_weight_gradient and self.weights.weighting == "student_max":
                weights = scores.sigmoid() * self.weights.certain(targets > 0, boxes, label)
            else:
                weights = self.weights(targets > 0, boxes, label, scores.sigmoid())
            total = total + (weights * F.binary_cross_entropy_with_logits(scores, targets, reduction="none")).sum()
        normalizer = rpn.batch_size_per_image * len(labels)
        losses["loss_rpn_cls"] = total * rpn.loss_weight.get("loss_rpn_cls", 1.0) / normalizer
        return rpn.predict_proposals(anchors, logits, deltas, images.image_sizes), losses

    def box_losses(
        self, heads: StandardROIHeads, features: dict[str, torch.Tensor], samples: list[Instances], labels: list[PseudoBoxes]
    ) -> dict[str, torch.Tensor]:
        """Losses of the box head, or of every stage of a cascade, on the RoIs sampled per image."""
        maps = [features[name] for name in heads.box_in_features]
        if isinstance(heads, CascadeROIHeads):
            return self.cascade_losses(heads, maps, samples, labels)
        pooled = heads.box_pooler(maps, [sample.proposal_boxes for sample in samples])
        predictions = heads.box_predictor(heads.box_head(pooled))
        return self.stage_losses(heads.box_predictor, predictions, samples, labels)

    def cascade_losses(
        self, heads: CascadeROIHeads, features: list[torch.Tensor], samples: list[Instances], labels: list[PseudoBoxes]
    ) -> dict[str, torch.Tensor]:
        """Losses of every stage, suffixed `_stage<k>`; each stage starts from the boxes of the one before."""
        losses = {}
        sizes = [sample.image_size for sample in samples]
        for stage, predictor in enumerate(heads.box_predictor):
            predictions = heads._run_stage(features, samples, stage)
            own = self.stage_losses(predictor, predictions, samples, labels)
            losses.update({f"{name}_stage{stage}": loss for name, loss in own.items()})
            if stage + 1 < heads.num_cascade_stages:
                samples = heads._create_proposals_from_boxes(predictor.predict_boxes(predictions, samples), sizes)
                samples = heads._match_and_label_boxes(samples, stage + 1, instances_of(labels))
        return losses

    def stage_losses(
        self,
        predictor: FastRCNNOutputLayers,
        predictions: tuple[torch.Tensor, torch.Tensor],
        samples: list[Instances],
        labels: list[PseudoBoxes],
    ) -> dict[str, torch.Tensor]:
        """Weighted cross-entropy over the sampled RoIs of all images."""
        losses = predictor.losses(predictions, samples) if self.box_regression else {}
        scores = predictions[0]
        classes = torch.cat([sample.gt_classes for sample in samples])
        confidence = scores.softmax(dim=1).amax(dim=1).split([len(sample) for sample in samples])
        weights = [
            self.weights(sample.gt_classes < predictor.num_classes, sample.proposal_boxes, label, own)
            for sample, label, own in zip(samples, labels, confidence, strict=True)
        ]
        loss = (torch.cat(weights) * F.cross_entropy(scores, classes, reduction="none")).mean()
        losses["loss_cls"] = loss * predictor.loss_weight.get("loss_cls", 1.0)
        return losses

    # Alignment ----------------------------------------------------------------------------------------------------

    def alignment_shape(self, detector: GeneralizedRCNN) -> dict[str, Any]:
        names = detector.proposal_generator.in_features
        shapes = detector.backbone.output_shape()
        head = first_box_head(detector.roi_heads)
        return {
            "channels": shapes[names[0]].channels,
            "levels": len(names),
            "instance_features": head.output_shape.channels,
            "box_pooler": detector.roi_heads.box_pooler,
        }

    def aligned_losses(
        self, detector: GeneralizedRCNN, source: list[dict], target: ImageList
    ) -> tuple[dict[str, torch.Tensor], DomainFeatures, DomainFeatures]:
        rpn, heads = detector.proposal_generator, detector.roi_heads
        images, target = self.padded_pair(detector.preprocess_image(source), target)
        instances = labelled_instances(detector, source)
        features, target_features = detector.backbone(images.tensor), detector.backbone(target.tensor)
        proposals, losses = rpn(images, features, instances)
        target_boxes = self.target_proposals(rpn, target, target_features)
        if self.batch_proposals:
            both = best_of_batch([*proposals, *target_boxes], rpn.post_nms_topk[True])
            proposals, target_boxes = both[: len(proposals)], both[len(proposals) :]
        with box_features(heads) as found:
            samples, own = heads(images, features, proposals, instances)
        losses.update(own)
        target_boxes = [sample_boxes(self.with_image_box(part), heads.batch_size_per_image) for part in target_boxes]
        pooled = heads.box_pooler([target_features[name] for name in heads.box_in_features], target_boxes)
        if isinstance(heads, CascadeROIHeads):  # it scales the source's gradient likewise, below every stage's head
            pooled = ScaleGradient.apply(pooled, 1.0 / heads.num_cascade_stages)
        return (
            losses,
            DomainFeatures(images, levels(rpn, features), [sample.proposal_boxes for sample in samples], found[0]),
            DomainFeatures(target, levels(rpn, target_features), target_boxes, first_box_head(heads)(pooled)),
        )

    @staticmethod
    def target_proposals(rpn: RPN, images: ImageList, features: dict[str, torch.Tensor]) -> list[Instances]:
        """Proposals on unlabelled images: no ground truth enters them."""
        return rpn.predict_proposals(*rpn_outputs(rpn, features), images.image_sizes)

    def with_image_box(self, proposals: Instances) -> Boxes:
        """Boxes of an image's proposals; with the reference switch, also the box around the whole image."""
        boxes = proposals.proposal_boxes
        if not self.target_image_box:
            return boxes
        height, width = proposals.image_size
        return Boxes.cat([boxes, Boxes(boxes.tensor.new_tensor([[0, 0, width - 1, height - 1]]))])


def rpn_outputs(rpn: RPN, features: dict[str, torch.Tensor]) -> tuple[list[Boxes], list[torch.Tensor], list[torch.Tensor]]:
    """Return (anchors, logits N x (H W A), deltas N x (H W A) x 4), each a list of levels."""
    maps = levels(rpn, features)
    anchors = rpn.anchor_generator(maps)
    logits, deltas = rpn.rpn_head(maps)
    logits = [level.permute(0, 2, 3, 1).flatten(1) for level in logits]
    deltas = [level.unflatten(1, (-1, rpn.anchor_generator.box_dim)).permute(0, 3, 4, 1, 2).flatten(1, 3) for level in deltas]
    return anchors, logits, deltas


def levels(rpn: RPN, features: dict[str, torch.Tensor]) -> list[torch.Tensor]:
    """The maps NxCxHxW that the RPN reads, finest first."""
    return [features[name] for name in rpn.in_features]


def first_box_head(heads: StandardROIHeads) -> FastRCNNConvFCHead:
    """The box head; of a cascade, the first stage's."""
    return heads.box_head[0] if isinstance(heads, CascadeROIHeads) else heads.box_head


@contextmanager
def box_features(heads: StandardROIHeads) -> Iterator[list[torch.Tensor]]:
    """Collect what the (first) box head returns, so that alignment need not compute it again."""
    found = []
    handle = first_box_head(heads).register_forward_hook(lambda module, inputs, output: found.append(output))
    try:
        yield found
    finally:
        handle.remove()


def sample_boxes(boxes: Boxes, count: int) -> Boxes:
    """At most `count` boxes, drawn at random."""
    return boxes[torch.randperm(len(boxes), device=boxes.device)[:count]]


def best_of_batch(proposals: list[Instances], count: int) -> list[Instances]:
    """The `count` most object-like proposals of all images together, as the published code keeps them."""
    scores = torch.cat([part.objectness_logits for part in proposals])
    if len(scores) <= count:
        return proposals
    limit = scores.topk(count).values[-1]
    return [part[part.objectness_logits >= limit] for part in proposals]
