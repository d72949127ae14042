"""The registered meta-architecture: an image classifier that adapts itself to unlabelled images."""

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from detectron2.config import configurable
from detectron2.modeling import META_ARCH_REGISTRY

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
from mic_det.modeling.meta_arch.adapting import AdaptingModel, build_student
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

    The state dict holds `student.*`, `teacher.model.*` and, with CDAN, `alignment.*`. In training `forward` takes an
    AdaptationBatch, or one of its `parts`, and returns losses; in evaluation it takes detectron2's list of dicts and returns
    `inference_model`'s "scores".

    Attributes:
        diagnostics: what the last step saw, as numbers or 0-dim tensors: mean probability of the pseudo-labels, share of the
            most frequent one, removed share, accuracy of the discriminator. The trainer averages and logs them.
    """

    @configurable
    def __init__(
        self,
        student,
        teacher,
        pseudo_labels,
        consistency=None,
        alignment=None,
        confusion_weight=0.0,
        confusion_temperature=2.0,
        weight_in_ascent_only=False,
        burn_in=0,
        inference="student",
    ):
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
    def from_config(cls, cfg):
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

    def trained_modules(self):
        return [self.student] if self.alignment is None else [self.student, self.alignment]

    def update_teacher(self, iteration, adapts=True):
        super().update_teacher(iteration, adapts)
        if self.alignment is not None:
            self.reversal = self.alignment.reversal_strength(max(iteration - self.burn_in, 0))

    def parts(self, batch):
        return [self.prepare(batch)]

    def ascent(self, part):
        """What `forward` takes in place of `part` while sharpness-aware minimisation looks for its direction."""
        return replace(part, ascends=True)

    def prepare(self, batch):
        """The ClassifierStep of an AdaptationBatch: the teacher has answered and the masks are drawn."""
        self.diagnostics = {}
        step = ClassifierStep(self.student.preprocess_image(batch.source), self.student.labels(batch.source))
        if not batch.target:
            return step
        step.target = self.student.preprocess_image(batch.target)
        if self.consistency is not None:
            logits = self.teacher_logits(step.target)
            step.pseudo_labels, step.weights = self.pseudo_labels(logits)
            step.view, self.diagnostics["masked_fraction"] = self.consistency.view(step.target)
            self.diagnostics["pseudo_score"] = logits.float().softmax(dim=1).amax(dim=1).mean()
            self.diagnostics["pseudo_largest_share"] = class_shares(step.pseudo_labels, logits.shape[1]).max()
        return step

    def forward(self, inputs):
        if not self.training:
            return self.network(self.inference_model)(inputs)
        step = self.prepare(inputs) if isinstance(inputs, AdaptationBatch) else inputs
        if step.target is None:
            return {"loss_cls": cross_entropy(self.student.predict(step.source), step.labels)}
        losses = self.joint_losses(step)
        if self.consistency is not None:
            losses.update(self.masked_losses(step))
        return losses

    def joint_losses(self, step):
        """Losses of both domains, which go through the network as one batch."""
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

    def masked_losses(self, step):
        weighs = step.ascends or not self.weight_in_ascent_only
        loss = cross_entropy(self.student.predict(step.view), step.pseudo_labels, step.weights if weighs else None)
        return self.consistency.weigh({"loss_cls": loss})

    @torch.inference_mode()
    def teacher_logits(self, images):
        return self.teacher.model.predict(images)


def cross_entropy(logits, labels, weights=None):
    """Mean over N images of the cross-entropy, each times its weight."""
    losses = F.cross_entropy(logits.float(), labels, reduction="none")
    return losses.mean() if weights is None else (weights * losses).mean()
