"""The registered meta-architecture: a segmentation network that adapts itself to unlabelled images."""

from functools import partial

import torch
from detectron2.config import configurable
from detectron2.modeling import META_ARCH_REGISTRY

from mic_det.adaptation import (
    AdaptationBatch,
    ClassMix,
    EMATeacher,
    FeatureDistance,
    MaskedConsistency,
    OutputDiscriminator,
    PhotometricAugmentation,
    PixelPseudoLabels,
    class_shares,
    mean_entropy,
)
from mic_det.errors import UserError, user_errors
from mic_det.modeling.decode_head.base import resize
from mic_det.modeling.meta_arch.adapting import AdaptingModel, build_student
from mic_det.modeling.meta_arch.encoder_decoder import EncoderDecoder

# LC-MSM's text projection lies outside the network that its teacher averages: both use the student's.
SHARED = ("language_head.text.",)
MASKED_IMAGES = ("target", "source", "both", "halves", "mixed", "source_and_mixed")


@META_ARCH_REGISTRY.register()
class MaskedConsistencySegmentor(AdaptingModel):
    """DACS / DAFormer / HRDA self-training with MIC (Hoyer et al., CVPR 2023), LC-MSM, AdvSeg or MinEnt around an EncoderDecoder.

    The state dict holds `student.*`, `teacher.model.*` and, where they are on, `feature_distance.*`, `discriminator.*` and
    `mask_teacher.model.*`. In training `forward` takes an AdaptationBatch, or one of its `parts`, and returns losses; in
    evaluation it takes detectron2's list of dicts and returns `inference_model`'s "sem_seg".

    Attributes:
        diagnostics: what the last step saw, as numbers or 0-dim tensors: quality of the pseudo-labels, their mean weight,
            which is 0 in margins, and shares of the most frequent one and of removed pixels. The trainer averages and logs
            them.
    """

    @configurable
    def __init__(
        self,
        student,
        teacher,
        pseudo_labels,
        mixing=None,
        augment=None,
        consistency=None,
        masked_images="target",
        mask_teacher=None,
        mask_pseudo_labels=None,
        masks_augmented_mix=False,
        detail_unweighted=False,
        feature_distance=None,
        discriminator=None,
        entropy_weight=0.0,
        sequential=False,
        inference="student",
    ):
        """
        Args:
            student: EncoderDecoder that is trained.
            teacher: EMATeacher of the student.
            pseudo_labels: PixelPseudoLabels.
            mixing: ClassMix; None turns mixed images off.
            augment: callable on normalised images, applied to mixed images; None for none.
            consistency: MaskedConsistency; None turns masked images off.
            masked_images: which images are masked: those of the "target" or "source", of "both", the first "halves" of
                both, which takes no longer than one domain (published for ACDC and Dark Zurich), the "mixed" ones, in which
                pasted classes keep true labels, or "source_and_mixed" in one pass each (LC-MSM).
            mask_teacher, mask_pseudo_labels: own EMATeacher and PixelPseudoLabels of the masked images; None for the same.
            masks_augmented_mix: masked mixed images start from the augmented ones (published).
            detail_unweighted: the consistency's loss weight leaves out HRDA's detail loss (published).
            feature_distance: FeatureDistance; None turns it off.
            discriminator: OutputDiscriminator; None turns adversarial adaptation off.
            entropy_weight: factor on the entropy of target predictions; 0 turns it off.
            sequential: `parts` divides a step into one part per pass, so that one graph is in memory at a time.
            inference: "teacher" or "student", which of them predicts in evaluation mode.
        """
        super().__init__(student, teacher, inference)
        if masked_images not in MASKED_IMAGES:
            raise UserError(f"MODEL.MIC.MASK.IMAGES must be one of {', '.join(MASKED_IMAGES)}, got '{masked_images}'.")
        own_labels = mask_teacher is not None or mask_pseudo_labels is not None
        self.masks_mixed = consistency is not None and masked_images in ("mixed", "source_and_mixed")
        if self.masks_mixed and (mixing is None or own_labels):
            raise UserError(
                f"MODEL.MIC.MASK.IMAGES {masked_images} takes the mixed images with their labels: set MODEL.MIC.MIX.ENABLED "
                "True, and MODEL.MIC.MASK.TEACHER_ALPHA and MODEL.MIC.MASK.THRESHOLD to -1."
            )
        if student.language_head is not None and (consistency is None or masked_images == "target"):
            raise UserError(
                "MODEL.LANGUAGE_HEAD.ENABLED: the language decoder learns from masked images with true labels: set "
                "MODEL.MIC.MASK.IMAGES source_and_mixed and MODEL.MIC.LOSS_WEIGHT 1."
            )
        self.pseudo_labels = pseudo_labels
        self.mixing, self.augment = mixing, augment
        self.consistency, self.masked_images = consistency, masked_images
        self.mask_teacher, self.mask_pseudo_labels = mask_teacher, mask_pseudo_labels
        self.masks_augmented_mix = masks_augmented_mix
        self.detail_unweighted = detail_unweighted
        self.feature_distance = feature_distance
        self.discriminator = discriminator
        self.entropy_weight = entropy_weight
        self.sequential = sequential
        self.masks_source = consistency is not None and masked_images in ("source", "source_and_mixed")
        self.masks_target = consistency is not None and masked_images in ("target", "both", "halves")
        self.uses_pseudo_labels = mixing is not None or self.masks_target
        self.has_idle_parts = discriminator is not None or (student.language_head is not None and not self.masks_source)

    @classmethod
    def from_config(cls, cfg):
        mic, reference = cfg.MODEL.MIC, cfg.MODEL.MIC.REFERENCE
        student = build_student(cfg, EncoderDecoder)
        augment, masks = PhotometricAugmentation(cfg), mic.LOSS_WEIGHT > 0
        own_alpha, own_threshold = masks and mic.MASK.TEACHER_ALPHA >= 0, masks and mic.MASK.THRESHOLD >= 0
        own_labels = PixelPseudoLabels(mic.MASK.THRESHOLD, reference.BATCH_QUALITY) if own_threshold else None
        own_teacher = (mic.MASK.TEACHER_ALPHA, mic.TEACHER.RAMP, mic.TEACHER.BATCH_STATISTICS, SHARED)
        with user_errors("MODEL.MIC"):
            return {
                "student": student,
                "teacher": EMATeacher(cfg, student, SHARED),
                "pseudo_labels": PixelPseudoLabels(cfg),
                "mixing": ClassMix(cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES, reference.BATCH_CLASSES) if mic.MIX.ENABLED else None,
                "augment": augment if augment.changes else None,
                "consistency": MaskedConsistency(cfg) if masks else None,
                "masked_images": mic.MASK.IMAGES,
                "mask_teacher": EMATeacher(student, *own_teacher) if own_alpha else None,
                "mask_pseudo_labels": own_labels,
                "masks_augmented_mix": reference.MASK_AUGMENTED_MIX,
                "detail_unweighted": reference.MASK_WEIGHT_WITHOUT_DETAIL,
                "feature_distance": FeatureDistance(cfg, student.backbone) if mic.FEATURE_DISTANCE.WEIGHT > 0 else None,
                "discriminator": OutputDiscriminator(cfg) if mic.ADVERSARIAL.WEIGHT > 0 else None,
                "entropy_weight": mic.ENTROPY.WEIGHT,
                "sequential": mic.SEQUENTIAL_BACKWARD,
                "inference": mic.INFERENCE,
            }

    def start_from_student(self):
        super().start_from_student()
        if self.feature_distance is not None:
            self.feature_distance.start_from(self.student.backbone)

    def teachers(self):
        return [teacher for teacher in (self.teacher, self.mask_teacher) if teacher is not None]

    def parts(self, batch):
        """The batch, or its passes when `sequential`."""
        return [[function] for function in self.passes(batch)] if self.sequential else [batch]

    def forward(self, inputs):
        if not self.training:
            return self.network(self.inference_model)(inputs)
        passes = self.passes(inputs) if isinstance(inputs, AdaptationBatch) else inputs
        losses = {}
        for losses_of_pass in passes:
            losses.update(losses_of_pass())
        return losses

    def passes(self, batch):
        """The student's passes of a step, as functions that return losses; the teacher's answers are already in them."""
        self.diagnostics = {}
        source = self.student.preprocess_image(batch.source).tensor, self.student.labels(batch.source)
        if not batch.target:
            return [partial(self.source_losses, *source), *self.masked_source_pass(source)]
        images = self.student.preprocess_image(batch.target).tensor
        labelled = self.labelled_passes(source, images, self.valid_pixels(batch.target))
        if self.discriminator is None and self.entropy_weight == 0:
            return [partial(self.source_losses, *source), *labelled]
        # The discriminator's pass comes last: with DDP, gradients are reduced after the last one.
        return [*labelled, partial(self.output_losses, *source, images)]

    def labelled_passes(self, source, images, valid):
        """The mixed and the masked passes, where they are on; the teacher is asked only when one of them needs it."""
        passes, target, mixed = self.masked_source_pass(source), None, None
        if self.uses_pseudo_labels:
            logits = self.teacher_logits(self.teacher, images)
            labels, weights, qualities = self.pseudo_labels(logits, valid)
            target = images, labels, weights
            self.diagnostics["pseudo_quality"], self.diagnostics["pseudo_weight"] = qualities.mean(), weights.mean()
            self.diagnostics["pseudo_largest_share"] = class_shares(labels, logits.shape[1]).max()
        if self.mixing is not None:
            mixed = self.mix(source, target)
            augmented = self.augmented(mixed)
            passes.append(partial(self.mixed_losses, *augmented))
            mixed = augmented if self.masks_augmented_mix else mixed
        if self.masks_mixed:
            passes.append(self.masked_pass(*mixed))
        if self.masks_target:
            passes.append(self.masked_pass(*self.masked_target(source, self.relabel(target, valid))))
        return passes

    # The passes ---------------------------------------------------------------------------------------------------

    def source_losses(self, images, labels):
        """Cross-entropy and, when on, feature distance on labelled images."""
        return self.supervise(self.student.observe(images), images, labels)

    def supervise(self, observation, images, labels):
        losses = self.student.losses(observation, labels)
        if self.feature_distance is not None:
            with torch.no_grad():
                reference = self.student.context_features(self.feature_distance.backbone, images)
            losses["loss_feature_distance"] = self.feature_distance(observation.features, reference, labels)
        return losses

    def mix(self, source, target):
        """ClassMix of labelled and pseudo-labelled images: (images, labels, weights)."""
        return self.mixing((*source, torch.ones_like(target[2])), target)

    def augmented(self, mixed):
        """Mixed (images, labels, weights) after colour jitter and blur."""
        images, labels, weights = mixed
        return self.augment(images) if self.augment is not None else images, labels, weights

    def mixed_losses(self, images, labels, weights):
        losses = self.student.losses(self.student.observe(images), labels, weights)
        return {f"{name}_mix": loss for name, loss in losses.items()}

    def masked_source_pass(self, source):
        """A list of the pass on masked source images, or an empty one."""
        return [self.masked_pass(*source, suffix="_source" if self.masks_mixed else "")] if self.masks_source else []

    def masked_target(self, source, target):
        """The (images, labels, weights) to mask: the target's, together with the source's where that is configured."""
        if self.masked_images == "target":
            return target
        labelled = (*source, torch.ones_like(source[1], dtype=torch.float32))
        if self.masked_images == "halves":
            labelled, target = ([part[: (len(part) + 1) // 2] for part in domain] for domain in (labelled, target))
        return [torch.cat(pair) for pair in zip(labelled, target, strict=True)]

    def masked_pass(self, images, labels, weights=None, suffix=""):
        view, self.diagnostics["masked_fraction"] = self.consistency.view(images)
        return partial(self.masked_losses, view, labels, weights, suffix)

    def masked_losses(self, view, labels, weights, suffix=""):
        losses = self.student.losses(self.student.observe(view, self.student.masked_head), labels, weights)
        losses = {f"{name}{suffix}": loss for name, loss in losses.items()}
        weighted = self.consistency.weigh(losses)
        if self.detail_unweighted and f"loss_seg_detail{suffix}" in losses:
            weighted[f"loss_seg_detail{suffix}_mask"] = losses[f"loss_seg_detail{suffix}"]
        return weighted

    def output_losses(self, images, labels, target_images):
        """Source losses, and the adaptation of target predictions: adversarial, by entropy, or both."""
        source, target = self.student.observe(images), self.student.observe(target_images)
        losses = self.supervise(source, images, labels)
        size = [round(self.student.context_scale * side) for side in images.shape[-2:]]
        source_logits, target_logits = resize(source.logits, size), resize(target.logits, size)
        if self.discriminator is not None:
            losses.update(self.discriminator(source_logits, target_logits))
        if self.entropy_weight > 0:
            losses["loss_entropy"] = self.entropy_weight * mean_entropy(target_logits)
        return losses

    # The teacher --------------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def teacher_logits(self, teacher, images):
        return teacher.model.predict(images, teacher.model.masked_head)

    def relabel(self, target, valid):
        """The target (images, labels, weights) of the masked pass: the same, unless masks have their own teacher or threshold."""
        if self.mask_teacher is None and self.mask_pseudo_labels is None:
            return target
        logits = self.teacher_logits(self.mask_teacher or self.teacher, target[0])
        labels, weights, _ = (self.mask_pseudo_labels or self.pseudo_labels)(logits, valid)
        return target[0], labels, weights

    def valid_pixels(self, samples):
        """Bool NxHxW from the samples' "valid" masks (HxW), or None where the dataset has no margins."""
        if "valid" not in samples[0]:
            return None
        return torch.stack([sample["valid"].to(self.device, non_blocking=True) for sample in samples])
