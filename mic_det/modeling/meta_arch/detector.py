"""The registered meta-architecture: a detector that adapts itself to unlabelled images."""

import torch
from detectron2.config import configurable
from detectron2.modeling import META_ARCH_REGISTRY
from detectron2.structures import ImageList
from torch import nn

from mic_det.adaptation import BoxPseudoLabels, EMATeacher, MaskedConsistency
from mic_det.errors import UserError, did_you_mean
from mic_det.modeling.pseudo_box_losses import PseudoBoxLosses


@META_ARCH_REGISTRY.register()
class MaskedConsistencyDetector(nn.Module):
    """MIC for object detection (Hoyer et al., CVPR 2023) around any two-stage detectron2 detector.

    The state dict holds `student.*` and `teacher.model.*`. In training `forward` takes an AdaptationBatch and returns
    losses; in evaluation it takes detectron2's list of dicts and returns the predictions of `inference_model`.

    Attributes:
        diagnostics: what the last training forward saw, as numbers or 0-dim tensors: pseudo boxes per image, their
            mean score, source boxes per image, removed share of the masked image. The trainer averages and logs them.
    """

    @configurable
    def __init__(self, student, teacher, pseudo_labels, consistency, pseudo_box_losses, inference="teacher"):
        """
        Args:
            student: the detector that is trained.
            teacher: EMATeacher of the student.
            pseudo_labels: BoxPseudoLabels.
            consistency: MaskedConsistency.
            pseudo_box_losses: PseudoBoxLosses.
            inference: "teacher" or "student", which of them predicts in evaluation mode.
        """
        super().__init__()
        if inference not in ("teacher", "student"):
            raise ValueError(f"MODEL.MIC.INFERENCE must be 'teacher' or 'student', got '{inference}'.")
        pseudo_box_losses.check_student(student)
        self.student = student
        self.teacher = teacher
        self.pseudo_labels = pseudo_labels
        self.consistency = consistency
        self.pseudo_box_losses = pseudo_box_losses
        self.inference_model = inference
        self.diagnostics = {}

    @classmethod
    def from_config(cls, cfg):
        name = cfg.MODEL.MIC.STUDENT
        if name not in META_ARCH_REGISTRY:
            hint = did_you_mean(name, [known for known, _ in META_ARCH_REGISTRY])
            raise UserError(f"MODEL.MIC.STUDENT names '{name}', which is not a registered meta-architecture.{hint}")
        student = META_ARCH_REGISTRY.get(name)(cfg)
        try:
            return {
                "student": student,
                "teacher": EMATeacher(cfg, student),
                "pseudo_labels": BoxPseudoLabels(cfg),
                "consistency": MaskedConsistency(cfg),
                "pseudo_box_losses": PseudoBoxLosses(cfg),
                "inference": cfg.MODEL.MIC.INFERENCE,
            }
        except ValueError as error:  # a value out of range: the user's mistake, not the program's
            raise UserError(f"MODEL.MIC: {error}") from None

    @property
    def device(self):
        return self.student.device

    def detector(self, name):
        """The plain detectron2 detector called "teacher" or "student"."""
        return self.teacher.model if name == "teacher" else self.student

    def update_teacher(self, iteration):
        """Step 1 of an iteration: the teacher moves towards the student."""
        self.teacher.update(self.student, iteration)

    def forward(self, batch):
        if not self.training:
            return self.detector(self.inference_model)(batch)
        boxes = sum(len(sample["instances"]) for sample in batch.source)
        self.diagnostics = {"source_boxes_per_image": boxes / len(batch.source)}
        losses = self.student(batch.source)
        if batch.target:
            losses.update(self.target_losses(batch.target))
        return losses

    def target_losses(self, samples):
        """Losses of the masked target images against the teacher's pseudo boxes; {} when there are none."""
        images = self.student.preprocess_image(samples)
        labels = self.pseudo_labels(self.teacher_predictions(images))
        counts = [len(label.instances) for label in labels]
        self.diagnostics["pseudo_boxes_per_image"] = sum(counts) / len(counts)
        if not any(counts):
            return {}
        losses, removed = self.consistency(
            images.tensor,
            lambda view: self.pseudo_box_losses(self.student, ImageList(view, images.image_sizes), labels),
        )
        self.diagnostics["pseudo_score"] = torch.cat([label.instances.gt_scores for label in labels]).mean()
        self.diagnostics["masked_fraction"] = removed
        return losses

    @torch.inference_mode()
    def teacher_predictions(self, images):
        """Detections of the teacher on the complete images, in network-input coordinates."""
        teacher = self.teacher.model
        features = teacher.backbone(images.tensor)
        proposals, _ = teacher.proposal_generator(images, features, None)
        predictions, _ = teacher.roi_heads(images, features, proposals, None)
        return predictions
