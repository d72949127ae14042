"""RetinaNet: one stage, every anchor weighted by how far its label is trusted."""

from typing import Any

import torch
import torch.nn.functional as F
from detectron2.modeling import RetinaNet
from detectron2.modeling.box_regression import _dense_box_regression_loss
from detectron2.modeling.meta_arch.dense_detector import permute_to_N_HWA_K
from detectron2.structures import Boxes, ImageList, Instances
from fvcore.nn import sigmoid_focal_loss

from mic_det.adaptation import DomainFeatures, PseudoBoxes
from mic_det.errors import UserError
from mic_det.modeling.students.base import StudentAdapter, instances_of, labelled_instances, register_student


@register_student(RetinaNet)
class RetinaNetAdapter(StudentAdapter):
    """Focal loss over all anchors, divided by the number of positive ones (Lin et al., Focal Loss, ICCV 2017)."""

    def check(self, detector: RetinaNet) -> None:
        if self.learn_masks:
            raise UserError("MODEL.MIC.PSEUDO_LABELS.MASKS needs a student with a mask branch; RetinaNet has none.")

    def predict(self, detector: RetinaNet, images: ImageList) -> list[Instances]:
        features = self.features(detector, images)
        return detector.forward_inference(images, features, detector.head(features))

    def losses(self, detector: RetinaNet, images: ImageList, labels: list[PseudoBoxes]) -> dict[str, torch.Tensor]:
        features = self.features(detector, images)
        logits, deltas = (
            torch.cat([permute_to_N_HWA_K(level, size) for level in part], dim=1)
            for part, size in zip(detector.head(features), (detector.num_classes, 4), strict=True)
        )
        anchors = detector.anchor_generator(features)
        classes, matched_boxes = detector.label_anchors(anchors, instances_of(labels))
        anchors, classes = Boxes.cat(anchors), torch.stack(classes)
        is_object = (classes >= 0) & (classes < detector.num_classes)
        positives = is_object.sum().clamp(min=1)
        losses = {"loss_cls": self.class_loss(detector, logits, anchors, classes, is_object, labels) / positives}
        if self.box_regression:
            loss = _dense_box_regression_loss(
                [anchors],
                detector.box2box_transform,
                [deltas],
                matched_boxes,
                is_object,
                detector.box_reg_loss_type,
                detector.smooth_l1_beta,
            )
            losses["loss_box_reg"] = loss / positives
        return losses

    def class_loss(
        self,
        detector: RetinaNet,
        logits: torch.Tensor,
        anchors: Boxes,
        classes: torch.Tensor,
        is_object: torch.Tensor,
        labels: list[PseudoBoxes],
    ) -> torch.Tensor:
        """Weighted focal loss, summed over images, anchors and classes; anchors labelled -1 are ignored."""
        targets = F.one_hot(classes.clamp(min=0), detector.num_classes + 1)[..., :-1].to(logits.dtype)
        loss = sigmoid_focal_loss(
            logits, targets, alpha=detector.focal_loss_alpha, gamma=detector.focal_loss_gamma, reduction="none"
        ).sum(dim=2)
        confidence = logits.sigmoid().amax(dim=2)
        samples = zip(is_object, labels, confidence, strict=True)
        weights = torch.stack([self.weights(positive, anchors, label, own) for positive, label, own in samples])
        return (weights * loss * (classes >= 0)).sum()

    @staticmethod
    def features(detector: RetinaNet, images: ImageList) -> list[torch.Tensor]:
        """The maps NxCxHxW that the head reads, finest first."""
        features = detector.backbone(images.tensor)
        return [features[name] for name in detector.head_in_features]

    def alignment_shape(self, detector: RetinaNet) -> dict[str, Any]:
        shapes = detector.backbone.output_shape()
        return {"channels": shapes[detector.head_in_features[0]].channels, "levels": len(detector.head_in_features)}

    def aligned_losses(
        self, detector: RetinaNet, source: list[dict], target: ImageList
    ) -> tuple[dict[str, torch.Tensor], DomainFeatures, DomainFeatures]:
        images, target = self.padded_pair(detector.preprocess_image(source), target)
        features = self.features(detector, images)
        losses = detector.forward_training(images, features, detector.head(features), labelled_instances(detector, source))
        return losses, DomainFeatures(images, features), DomainFeatures(target, self.features(detector, target))

    def running_state(self, detector: RetinaNet) -> dict[str, Any]:
        """RetinaNet divides by a running count of positive anchors, which is no buffer."""
        return {"loss_normalizer": detector.loss_normalizer} if hasattr(detector, "loss_normalizer") else {}
