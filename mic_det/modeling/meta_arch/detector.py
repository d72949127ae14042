"""The registered meta-architecture: a detector that adapts itself to unlabelled images."""

from typing import Any

import torch
from detectron2.config import CfgNode, configurable
from detectron2.modeling import META_ARCH_REGISTRY
from detectron2.structures import ImageList, Instances
from detectron2.utils.events import get_event_storage
from torch import nn

from mic_det.adaptation import BoxPseudoLabels, EMATeacher, FeatureAlignment, MaskedConsistency
from mic_det.adaptation.box_labels import PseudoBoxes
from mic_det.config import num_classes
from mic_det.errors import UserError, user_errors
from mic_det.modeling.legacy_boxes import legacy_config, pool_to_last_pixel
from mic_det.modeling.meta_arch.adapting import AdaptingModel, Losses, build_student
from mic_det.modeling.students import StudentAdapter, build_adapter


@META_ARCH_REGISTRY.register()
class MaskedConsistencyDetector(AdaptingModel):
    """MIC for object detection (Hoyer et al., CVPR 2023) around any detectron2 detector that has a StudentAdapter.

    The state dict holds `student.*`, `teacher.model.*` and, with alignment, `alignment.*`. Evaluation returns "instances".

    Attributes:
        diagnostics: what the last training forward saw, as numbers or 0-dim tensors: pseudo boxes per image, their
            mean score, source boxes per image, removed share of the masked image, accuracy of the domain classifiers.
            The trainer averages and logs them.
    """

    student: Any  # a detector as detectron2 builds it

    @configurable
    def __init__(
        self,
        student: nn.Module,
        adapter: StudentAdapter,
        teacher: EMATeacher,
        pseudo_labels: BoxPseudoLabels,
        consistency: MaskedConsistency | None = None,
        alignment: FeatureAlignment | None = None,
        inference: str = "teacher",
    ) -> None:
        """
        Args:
            student: the detector that is trained.
            adapter: StudentAdapter of its kind.
            teacher: EMATeacher of the student.
            pseudo_labels: BoxPseudoLabels.
            consistency: MaskedConsistency; None turns it off.
            alignment: FeatureAlignment; None turns it off.
            inference: "teacher" or "student", which of them predicts in evaluation mode.
        """
        super().__init__(student, teacher, inference)
        self.adapter = adapter
        self.pseudo_labels = pseudo_labels
        self.consistency = consistency
        self.alignment = alignment
        self.has_idle_parts = alignment is not None
        self.uses_pseudo_labels = consistency is not None

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        mic = cfg.MODEL.MIC
        per_class, classes = mic.PSEUDO_LABELS.CLASS_THRESHOLDS, num_classes(cfg)
        if per_class and len(per_class) != classes:
            raise UserError(
                f"MODEL.MIC.PSEUDO_LABELS.CLASS_THRESHOLDS has {len(per_class)} entries for {classes} classes: give one per "
                "class, or none to use THRESHOLD."
            )
        student = build_student(legacy_config(cfg) if mic.REFERENCE.LEGACY_BOXES else cfg)
        with user_errors("MODEL.MIC"):
            adapter = build_adapter(cfg, student)
            alignment = FeatureAlignment(cfg, **adapter.alignment_shape(student)) if mic.ALIGN.ENABLED else None
            if alignment is not None and mic.REFERENCE.LEGACY_BOXES:
                pool_to_last_pixel(alignment.pooler)
            return {
                "student": student,
                "adapter": adapter,
                "teacher": EMATeacher(cfg, student),
                "pseudo_labels": BoxPseudoLabels(cfg),
                "consistency": MaskedConsistency(cfg) if mic.LOSS_WEIGHT > 0 else None,
                "alignment": alignment,
                "inference": mic.INFERENCE,
            }

    def trained_modules(self) -> list[nn.Module]:
        """What the optimizer steps: the student and, when there are any, the domain classifiers."""
        return [self.student] if self.alignment is None else [self.student, self.alignment]

    def running_state(self) -> dict[str, Any]:
        return self.adapter.running_state(self.student)

    # The step -----------------------------------------------------------------------------------------------------

    def forward(self, batch: Any) -> Any:
        if not self.training:
            return self.network(self.inference_model)(batch)
        boxes = sum(len(sample["instances"]) for sample in batch.source)
        self.diagnostics = {"source_boxes_per_image": boxes / len(batch.source)}
        if not batch.target:
            return self.student(batch.source)
        images = self.student.preprocess_image(batch.target)
        losses = self.student(batch.source) if self.alignment is None else self.aligned_losses(batch.source, images)
        if self.consistency is not None:
            losses.update(self.masked_losses(images))
        return losses

    def aligned_losses(self, source: list[dict], images: ImageList) -> Losses:
        """The student's losses on labelled samples and those of the domain classifiers on both domains."""
        assert self.alignment is not None
        losses, *domains = self.adapter.aligned_losses(self.student, source, images)
        alignment_losses, accuracies = self.alignment(*domains)
        self.diagnostics.update(accuracies)
        return {**losses, **alignment_losses}

    def masked_losses(self, images: ImageList) -> Losses:
        """Losses of the masked target images against the teacher's pseudo boxes; {} when there are none."""
        assert self.consistency is not None
        # 2. The teacher labels the complete images.
        labels = self.pseudo_labels(self.teacher_predictions(images))
        counts = [len(label.instances) for label in labels]
        self.diagnostics["pseudo_boxes_per_image"] = sum(counts) / len(counts)
        if not any(counts):
            return {}
        self.diagnostics["pseudo_score"] = torch.cat([label.instances.gt_scores for label in labels]).mean()
        # 3. The student sees them with parts removed.
        view, self.diagnostics["masked_fraction"] = self.consistency.view(images.tensor)
        # 4. It answers. 5. Its losses are weighted, each sample's before.
        return self.consistency.weigh(self.pseudo_box_losses(ImageList(view, images.image_sizes), labels))

    def pseudo_box_losses(self, images: ImageList, labels: list[PseudoBoxes]) -> Losses:
        """The student's losses on images against PseudoBoxes, one per image; each sample has its quality's weight.

        An image without pseudo boxes takes no part, but counts in the mean over images, so that the loss does not depend
        on how images are grouped into batches, processes and accumulation steps.
        """
        chosen = [index for index, label in enumerate(labels) if len(label.instances)]
        if not chosen:
            return {}
        images = ImageList(images.tensor[chosen], [images.image_sizes[index] for index in chosen])
        with get_event_storage().name_scope("masked"):  # keeps detectron2's own counters apart from the source's
            losses = self.adapter.losses(self.student, images, [labels[index] for index in chosen])
        return {name: len(chosen) / len(labels) * loss for name, loss in losses.items()}

    @torch.inference_mode()
    def teacher_predictions(self, images: ImageList) -> list[Instances]:
        """Detections of the teacher on the complete images (ImageList), in network-input coordinates."""
        return self.adapter.predict(self.teacher.model, images)
