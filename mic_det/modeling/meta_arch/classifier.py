"""The registered meta-architecture: an image classifier that adapts itself to unlabelled images."""

from dataclasses import dataclass, replace
from typing import Any, cast

import torch
import torch.nn.functional as F
from detectron2.config import CfgNode, configurable
from detectron2.modeling import META_ARCH_REGISTRY
from torch import nn

from mic_det.adaptation import (
    AdaptationBatch,
    ConditionalAlignment,
    EMATeacher,
    ImagePseudoLabels,
    MaskedConsistency,
    class_confusion,
    class_shares,
)
from mic_det.errors import user_errors
from mic_det.modeling.meta_arch.adapting import AdaptingModel, Losses, build_student
from mic_det.modeling.meta_arch.image_classifier import ImageClassifier


@dataclass
class ClassifierStep:
    """A training step's inputs, the same for the ascent and the descent of sharpness-aware minimisation.

    Attributes:
        source, labels: normalised images NxCxHxW and their classes N.
        target: normalised images MxCxHxW; None while the run does not adapt.
        view: what the student sees of the target, masked; None without masked consistency.
        pseudo_labels, weights: M classes and their weights in [0, 1]; None likewise.
        ascends: whether this is the pass that looks for the sharpest direction.
    """

    source: torch.Tensor
    labels: torch.Tensor
    target: torch.Tensor | None = None
    view: torch.Tensor | None = None
    pseudo_labels: torch.Tensor | None = None
    weights: torch.Tensor | None = None
    ascends: bool = False


@META_ARCH_REGISTRY.register()
class MaskedConsistencyClassifier(AdaptingModel):
    """MIC for image classification (Hoyer et al., CVPR 2023) on CDAN, MCC and SDAT around an ImageClassifier.

    The state dict holds `student.*`, `teacher.model.*` and, with CDAN, `alignment.*`. Evaluation returns "scores".

    A step is a `plan`: the teacher's labels and the student's view, which sharpness-aware minimisation takes twice.

    Attributes:
        diagnostics: what the last step saw, as numbers or 0-dim tensors: mean probability of the pseudo-labels, share of the
            most frequent one, removed share, accuracy of the discriminator. The trainer averages and logs them.
    """

    student: ImageClassifier

    @configurable
    def __init__(
        self,
        student: ImageClassifier,
        teacher: EMATeacher,
        pseudo_labels: ImagePseudoLabels,
        consistency: MaskedConsistency | None = None,
        alignment: ConditionalAlignment | None = None,
        confusion_weight: float = 0.0,
        confusion_temperature: float = 2.0,
        weight_in_ascent_only: bool = False,
        burn_in: int = 0,
        inference: str = "student",
    ) -> None:
        """
        Args:
            student: ImageClassifier that is trained.
            teacher: EMATeacher of the student.
            pseudo_labels: ImagePseudoLabels.
            consistency: MaskedConsistency; None turns it off.
            alignment: ConditionalAlignment; None turns it off.
            confusion_weight: factor on the class confusion of target predictions (MCC); 0 turns it off.
            confusion_temperature: see `class_confusion`.
            weight_in_ascent_only: pseudo-labels are weighted in the ascent only, all count fully in the descent (published).
            burn_in: iteration at which adaptation begins; the reversed gradient grows from there.
            inference: "teacher" or "student", which of them predicts in evaluation mode.
        """
        super().__init__(student, teacher, inference)
        self.pseudo_labels = pseudo_labels
        self.consistency = consistency
        self.alignment = alignment
        self.confusion_weight, self.confusion_temperature = confusion_weight, confusion_temperature
        self.weight_in_ascent_only = weight_in_ascent_only
        self.burn_in, self.reversal = burn_in, 0.0
        self.has_idle_parts = alignment is not None
        self.uses_pseudo_labels = consistency is not None

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        mic = cfg.MODEL.MIC
        student = build_student(cfg, ImageClassifier)
        with user_errors("MODEL.MIC"):
            return {
                "student": student,
                "teacher": EMATeacher(cfg, student),
                "pseudo_labels": ImagePseudoLabels(cfg),
                "consistency": MaskedConsistency(cfg) if mic.LOSS_WEIGHT > 0 else None,
                "alignment": ConditionalAlignment(cfg) if mic.CDAN.WEIGHT > 0 else None,
                "confusion_weight": mic.MCC.WEIGHT,
                "confusion_temperature": mic.MCC.TEMPERATURE,
                "weight_in_ascent_only": mic.REFERENCE.WEIGHT_IN_ASCENT_ONLY,
                "burn_in": mic.BURN_IN,
                "inference": mic.INFERENCE,
            }

    def trained_modules(self) -> list[nn.Module]:
        return [self.student] if self.alignment is None else [self.student, self.alignment]

    def update_teacher(self, iteration: int, adapts: bool = True) -> None:
        super().update_teacher(iteration, adapts)
        if self.alignment is not None:
            self.reversal = self.alignment.reversal_strength(max(iteration - self.burn_in, 0))

    def parts(self, batch: AdaptationBatch) -> list[ClassifierStep]:
        """The batch's plan."""
        return [self.plan(batch)]

    def ascent(self, part: ClassifierStep) -> ClassifierStep:
        """What `forward` takes in place of `part` while sharpness-aware minimisation looks for its direction."""
        return replace(part, ascends=True)

    def forward(self, inputs: Any) -> Any:
        if not self.training:
            return self.network(self.inference_model)(inputs)
        step = self.plan(inputs) if isinstance(inputs, AdaptationBatch) else inputs
        if step.target is None:
            return {"loss_cls": cross_entropy(self.student.predict(step.source), step.labels)}
        losses = self.joint_losses(step)
        if self.consistency is not None:
            losses.update(self.masked_losses(step))
        return losses

    # The step -----------------------------------------------------------------------------------------------------

    def plan(self, batch: AdaptationBatch) -> ClassifierStep:
        """The inputs of a step: the teacher has answered and the masks are drawn."""
        self.diagnostics = {}
        step = ClassifierStep(self.student.preprocess_image(batch.source), self.student.labels(batch.source))
        if not batch.target:
            return step
        step.target = self.student.preprocess_image(batch.target)
        if self.consistency is not None:
            # 2. The teacher labels the complete images.
            logits = self.teacher_logits(step.target)
            step.pseudo_labels, step.weights = self.pseudo_labels(logits)
            self.diagnostics["pseudo_score"] = logits.float().softmax(dim=1).amax(dim=1).mean()
            self.diagnostics["pseudo_largest_share"] = class_shares(step.pseudo_labels, logits.shape[1]).max()
            # 3. The student sees them with parts removed.
            step.view, self.diagnostics["masked_fraction"] = self.consistency.view(step.target)
        return step

    def masked_losses(self, step: ClassifierStep) -> Losses:
        """Losses of the masked target images against the pseudo-labels of a plan that has them."""
        assert self.consistency is not None and step.view is not None and step.pseudo_labels is not None
        # 4. The student answers. 5. Its losses are weighted.
        weights = step.weights if step.ascends or not self.weight_in_ascent_only else None
        loss = cross_entropy(self.student.predict(step.view), step.pseudo_labels, weights)
        return self.consistency.weigh({"loss_cls": loss})

    def joint_losses(self, step: ClassifierStep) -> Losses:
        """Losses of both domains, which go through the network as one batch."""
        assert step.target is not None
        count = len(step.source)
        both = self.student.observe(torch.cat([step.source, step.target]))
        losses = {"loss_cls": cross_entropy(both.logits[:count], step.labels)}
        if self.confusion_weight > 0:
            losses["loss_mcc"] = self.confusion_weight * class_confusion(both.logits[count:], self.confusion_temperature)
        # Only the task's losses are made flat, not the adversary's (Rangwani et al., SDAT, ICML 2022, section 5).
        if self.alignment is not None and not step.ascends:
            losses["loss_cdan"], accuracy = self.alignment(both.logits, both.features, count, self.reversal)
            self.diagnostics["domain_accuracy"] = accuracy
        return losses

    @torch.inference_mode()
    def teacher_logits(self, images: torch.Tensor) -> torch.Tensor:
        """What the teacher says of complete, normalised images NxCxHxW: NxK."""
        return cast(ImageClassifier, self.teacher.model).predict(images)


def cross_entropy(logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor | None = None) -> torch.Tensor:
    """Mean over N images of the cross-entropy, each times its weight."""
    losses = F.cross_entropy(logits.float(), labels, reduction="none")
    return losses.mean() if weights is None else (weights * losses).mean()
