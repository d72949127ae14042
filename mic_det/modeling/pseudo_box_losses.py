"""Losses of a two-stage detector (RPN and box head) on pseudo boxes, each sample weighted by how far its label is trusted."""

import torch
import torch.nn.functional as F
from detectron2.config import configurable
from detectron2.modeling.proposal_generator import RPN
from detectron2.modeling.roi_heads import CascadeROIHeads, StandardROIHeads
from detectron2.structures import Boxes, ImageList, Instances, pairwise_ioa, pairwise_iou
from detectron2.utils.events import get_event_storage

from mic_det.errors import UserError

WEIGHTINGS = ("teacher_score", "student_max", "none")
# A background sample of which at least this share is covered by an uncertain box is ignored.
UNCERTAIN_COVER = 0.5


class PseudoBoxLosses:
    """Objectness and classification of a masked image against pseudo boxes (MIC, CVPR 2023, equation 5).

    Weighting `w` of a sampled anchor or RoI:

    * "teacher_score": foreground takes its pseudo box's score, background the mean score of its image's pseudo boxes;
    * "student_max": the student's own confidence on the masked image, max softmax for RoIs and sigmoid objectness for
      anchors, without gradient; what the published code does;
    * "none": 1.

    With w = 1 everywhere and a pseudo box in every image both losses equal detectron2's own. An image without pseudo
    boxes takes no part, but counts in the mean over images, so that the loss does not depend on how images are grouped
    into batches, processes and accumulation steps.
    """

    @configurable
    def __init__(self, weighting="teacher_score", box_regression=False):
        """
        Args:
            weighting: one of WEIGHTINGS.
            box_regression: also learn box coordinates from the pseudo boxes, unweighted. The published method does not.
        """
        if weighting not in WEIGHTINGS:
            raise ValueError(f"Unknown pseudo-label weighting '{weighting}': choose one of {', '.join(WEIGHTINGS)}.")
        self.weighting = weighting
        self.box_regression = box_regression

    @classmethod
    def from_config(cls, cfg):
        labels = cfg.MODEL.MIC.PSEUDO_LABELS
        return {"weighting": labels.WEIGHT, "box_regression": labels.BOX_REGRESSION}

    @staticmethod
    def check_student(student):
        """Raise UserError, naming what is missing, when the losses of `student` cannot be weighted."""
        rpn, heads = getattr(student, "proposal_generator", None), getattr(student, "roi_heads", None)
        if not isinstance(rpn, RPN) or not isinstance(heads, StandardROIHeads) or isinstance(heads, CascadeROIHeads):
            raise UserError(
                f"MODEL.MIC.STUDENT: the losses of {type(student).__name__} with {type(rpn).__name__} and "
                f"{type(heads).__name__} cannot be weighted by pseudo-label quality; a detector with RPN and "
                "StandardROIHeads is needed (MODEL.PROPOSAL_GENERATOR.NAME, MODEL.ROI_HEADS.NAME)."
            )

    def __call__(self, student, images, labels):
        """Return {"loss_rpn_cls", "loss_cls"} and, with box regression, {"loss_rpn_loc", "loss_box_reg"}.

        Args:
            student: a GeneralizedRCNN with RPN and StandardROIHeads, in training mode.
            images: ImageList of the masked images of a batch.
            labels: list[PseudoBoxes], one per image.
        """
        chosen = [index for index, label in enumerate(labels) if len(label.instances)]
        if not chosen:
            return {}
        share = len(chosen) / len(labels)
        images = ImageList(images.tensor[chosen], [images.image_sizes[index] for index in chosen])
        labels = [labels[index] for index in chosen]
        with get_event_storage().name_scope("masked"):
            features = student.backbone(images.tensor)
            proposals, losses = self.rpn_losses(student.proposal_generator, images, features, labels)
            losses.update(self.box_head_losses(student.roi_heads, features, proposals, labels))
        return {name: share * loss for name, loss in losses.items()}

    def rpn_losses(self, rpn, images, features, labels):
        """Return (proposals, losses) like detectron2's `RPN.forward`, with a weighted objectness loss."""
        features = [features[name] for name in rpn.in_features]
        anchors = rpn.anchor_generator(features)
        logits, deltas = rpn.rpn_head(features)
        logits = [level.permute(0, 2, 3, 1).flatten(1) for level in logits]  # N x (H W A)
        deltas = [  # N x (H W A) x 4
            level.unflatten(1, (-1, rpn.anchor_generator.box_dim)).permute(0, 3, 4, 1, 2).flatten(1, 3) for level in deltas
        ]
        instances = [label.instances for label in labels]
        anchor_labels, matched_boxes = rpn.label_and_sample_anchors(anchors, instances)
        if self.box_regression:
            losses = rpn.losses(anchors, logits, anchor_labels, deltas, matched_boxes)
        else:
            losses = {}
        every_anchor = Boxes.cat(anchors)
        total = logits[0].new_zeros(())
        for scores, targets, label in zip(torch.cat(logits, dim=1), anchor_labels, labels, strict=True):
            sampled = torch.nonzero(targets >= 0).squeeze(1)
            scores, targets, boxes = scores[sampled], targets[sampled].to(scores.dtype), every_anchor[sampled]
            weights = self.weights(targets > 0, boxes, label, scores.sigmoid())
            total = total + F.binary_cross_entropy_with_logits(scores, targets, weights, reduction="sum")
        normalizer = rpn.batch_size_per_image * len(labels)
        losses["loss_rpn_cls"] = total * rpn.loss_weight.get("loss_rpn_cls", 1.0) / normalizer
        return rpn.predict_proposals(anchors, logits, deltas, images.image_sizes), losses

    def box_head_losses(self, heads, features, proposals, labels):
        """Weighted cross-entropy over the sampled RoIs of all images."""
        samples = heads.label_and_sample_proposals(proposals, [label.instances for label in labels])
        features = [features[name] for name in heads.box_in_features]
        predictor = heads.box_predictor
        pooled = heads.box_pooler(features, [sample.proposal_boxes for sample in samples])
        predictions = predictor(heads.box_head(pooled))
        losses = predictor.losses(predictions, samples) if self.box_regression else {}
        scores = predictions[0]
        classes = torch.cat([sample.gt_classes for sample in samples])
        confidence = scores.softmax(dim=1).amax(dim=1).split([len(sample) for sample in samples])
        weights = [
            self.weights(sample.gt_classes < heads.num_classes, sample.proposal_boxes, label, own)
            for sample, label, own in zip(samples, labels, confidence, strict=True)
        ]
        loss = (torch.cat(weights) * F.cross_entropy(scores, classes, reduction="none")).mean()
        losses["loss_cls"] = loss * predictor.loss_weight.get("loss_cls", 1.0)
        return losses

    @torch.no_grad()
    def weights(self, is_object, boxes, label, confidence):
        """Weight of each sample of one image.

        Args:
            is_object: N bool, sampled as foreground.
            boxes: Boxes of the N samples.
            label: PseudoBoxes of the image, not empty.
            confidence: N, the student's own confidence, used by "student_max" only.
        """
        if self.weighting == "student_max":
            weights = confidence.detach()
        elif self.weighting == "teacher_score":
            weights = teacher_weights(is_object, boxes, label.instances).to(confidence.dtype)
        else:
            weights = torch.ones_like(confidence)
        if len(label.uncertain):
            covered = pairwise_ioa(label.uncertain, boxes).amax(dim=0) >= UNCERTAIN_COVER
            weights = weights.masked_fill(covered & ~is_object, 0.0)
        return weights


def teacher_weights(is_object, boxes, instances: Instances):
    """Score of the best-overlapping pseudo box for foreground samples, the image's mean score for background."""
    matched = pairwise_iou(instances.gt_boxes, boxes).argmax(dim=0)
    return torch.where(is_object, instances.gt_scores[matched], instances.gt_scores.mean())
