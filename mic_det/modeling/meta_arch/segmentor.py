"""The registered meta-architecture: a segmentation network that adapts itself to unlabelled images."""

from dataclasses import replace
from typing import Any, cast

import torch
from detectron2.config import CfgNode, configurable
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
from mic_det.modeling.meta_arch.adapting import AdaptingModel, Losses, build_student
from mic_det.modeling.meta_arch.encoder_decoder import EncoderDecoder, Observation
from mic_det.modeling.meta_arch.passes import Pass

# LC-MSM's text projection lies outside the network that its teacher averages: both use the student's.
SHARED = ("language_head.text.",)
MASKED_IMAGES = ("target", "source", "both", "halves", "mixed", "source_and_mixed")


@META_ARCH_REGISTRY.register()
class MaskedConsistencySegmentor(AdaptingModel):
    """DACS / DAFormer / HRDA self-training with MIC (Hoyer et al., CVPR 2023), LC-MSM, AdvSeg or MinEnt around an EncoderDecoder.

    The state dict holds `student.*`, `teacher.model.*` and, where they are on, `feature_distance.*`, `discriminator.*` and
    `mask_teacher.model.*`. Evaluation returns "sem_seg".

    A step is a `plan`: the teacher's labels and the student's views, as a list of passes; `losses_of` is what one of them costs.

    Attributes:
        diagnostics: what the last step saw, as numbers or 0-dim tensors: quality of the pseudo-labels, their mean weight,
            which is 0 in margins, and shares of the most frequent one and of removed pixels. The trainer averages and logs
            them.
    """

    student: EncoderDecoder

    @configurable
    def __init__(
        self,
        student: EncoderDecoder,
        teacher: EMATeacher,
        pseudo_labels: PixelPseudoLabels,
        mixing: ClassMix | None = None,
        augment: PhotometricAugmentation | None = None,
        consistency: MaskedConsistency | None = None,
        masked_images: str = "target",
        mask_teacher: EMATeacher | None = None,
        mask_pseudo_labels: PixelPseudoLabels | None = None,
        masks_augmented_mix: bool = False,
        detail_unweighted: bool = False,
        feature_distance: FeatureDistance | None = None,
        discriminator: OutputDiscriminator | None = None,
        entropy_weight: float = 0.0,
        sequential: bool = False,
        inference: str = "student",
    ) -> None:
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

        Raises:
            UserError: when the masked images are unknown, or need mixed images or labels that are not there.
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
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
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

    def start_from_student(self) -> None:
        super().start_from_student()
        if self.feature_distance is not None:
            self.feature_distance.start_from(self.student.backbone)

    def teachers(self) -> list[EMATeacher]:
        return [teacher for teacher in (self.teacher, self.mask_teacher) if teacher is not None]

    def parts(self, batch: AdaptationBatch) -> list[Any]:
        """The batch, or its passes, each a plan of its own, when `sequential`."""
        return [[one] for one in self.plan(batch)] if self.sequential else [batch]

    def forward(self, inputs: Any) -> Any:
        if not self.training:
            return self.network(self.inference_model)(inputs)
        losses: Losses = {}
        for one in self.plan(inputs) if isinstance(inputs, AdaptationBatch) else inputs:
            losses.update(self.losses_of(one))
        return losses

    # The step -----------------------------------------------------------------------------------------------------

    def plan(self, batch: AdaptationBatch) -> list[Pass]:
        """The student's passes of a step: the teacher has answered, and all that is random in images is drawn."""
        self.diagnostics = {}
        source = Pass("source", self.student.preprocess_image(batch.source).tensor, self.student.labels(batch.source))
        passes = [source]
        if self.masks_source:
            passes.append(self.masked(source, "masked source", "_source_mask" if self.masks_mixed else "_mask"))
        if not batch.target:
            return passes
        images = self.student.preprocess_image(batch.target).tensor
        if self.uses_pseudo_labels:
            passes += self.target_passes(source, images, self.valid_pixels(batch.target))
        if self.discriminator is None and self.entropy_weight == 0:
            return passes
        # The discriminator's pass comes last: with DDP, gradients are reduced after the last one.
        return [*passes[1:], replace(source, target=images)]

    def target_passes(self, source: Pass, images: torch.Tensor, valid: torch.Tensor | None) -> list[Pass]:
        """The passes that learn from the teacher's labels of target images."""
        # 2. The teacher labels the complete images.
        logits = self.teacher_logits(self.teacher, images)
        labels, weights, qualities = self.pseudo_labels(logits, valid)
        self.diagnostics["pseudo_quality"], self.diagnostics["pseudo_weight"] = qualities.mean(), weights.mean()
        self.diagnostics["pseudo_largest_share"] = class_shares(labels, logits.shape[1]).max()
        target = Pass("target", images, labels, weights)
        passes: list[Pass] = []
        # 3. The student sees them mixed with source classes and, with parts removed, as they are or mixed.
        if self.mixing is not None:
            mixed = self.mixed(source, target)
            augmented = self.augmented(mixed)
            passes.append(augmented)
            if self.masks_mixed:
                passes.append(self.masked(augmented if self.masks_augmented_mix else mixed))
        if self.masks_target:
            passes.append(self.masked(self.with_source(self.relabelled(target, valid), source)))
        return passes

    def losses_of(self, one: Pass) -> Losses:
        """What a pass costs, {name: weighted scalar}."""
        # 4. The student answers.
        seen = self.student.observe(one.images, one.decoder)
        target = None if one.target is None else self.student.observe(one.target)
        # 5. Its answer is compared with the labels, and the losses are weighted.
        losses = self.student.losses(seen, one.labels, one.weights)
        if one.is_masked:
            assert self.consistency is not None
            return self.consistency.weigh(losses, one.suffix, ("loss_seg_detail",) if self.detail_unweighted else ())
        if one.name == "source" and self.feature_distance is not None:
            with torch.no_grad():
                features = self.student.context_features(self.feature_distance.backbone, one.images)
            losses["loss_feature_distance"] = self.feature_distance(seen.features, features, one.labels)
        if target is not None:
            losses.update(self.output_losses(seen, target, one.images.shape[-2:]))
        return {f"{name}{one.suffix}": loss for name, loss in losses.items()}

    # Images and their labels --------------------------------------------------------------------------------------

    def masked(self, complete: Pass, name: str = "masked", suffix: str = "_mask") -> Pass:
        """The same with parts removed, for the decoder that consistency is asked of."""
        assert self.consistency is not None
        view, self.diagnostics["masked_fraction"] = self.consistency.view(complete.images)
        decoder = self.student.consistency_head
        return replace(complete, name=name, images=view, decoder=decoder, suffix=suffix, is_masked=True)

    def mixed(self, source: Pass, target: Pass) -> Pass:
        """Target images with pasted source classes."""
        assert self.mixing is not None
        return Pass("mixed", *self.mixing(source.content, target.content), suffix="_mix")

    def augmented(self, mixed: Pass) -> Pass:
        """The same after colour jitter and blur."""
        return mixed if self.augment is None else replace(mixed, images=self.augment(mixed.images))

    def with_source(self, target: Pass, source: Pass) -> Pass:
        """The images to mask: the target's, after the source's where that is configured."""
        if self.masked_images == "target":
            return target
        if self.masked_images == "halves":
            source, target = source.first_half(), target.first_half()
        return source.joined(target)

    def relabelled(self, target: Pass, valid: torch.Tensor | None) -> Pass:
        """The target as the masked pass takes it: the same, unless masks have their own teacher or threshold."""
        if self.mask_teacher is None and self.mask_pseudo_labels is None:
            return target
        logits = self.teacher_logits(self.mask_teacher or self.teacher, target.images)
        labels, weights, _ = (self.mask_pseudo_labels or self.pseudo_labels)(logits, valid)
        return replace(target, labels=labels, weights=weights)

    def valid_pixels(self, samples: list[dict]) -> torch.Tensor | None:
        """Bool NxHxW from the samples' "valid" masks (HxW), or None where the dataset has no margins."""
        if "valid" not in samples[0]:
            return None
        return torch.stack([sample["valid"].to(self.device, non_blocking=True) for sample in samples])

    # Networks and losses ------------------------------------------------------------------------------------------

    @torch.inference_mode()
    def teacher_logits(self, teacher: EMATeacher, images: torch.Tensor) -> torch.Tensor:
        """What a teacher says of complete, normalised images NxCxHxW: NxKxHxW."""
        network = cast(EncoderDecoder, teacher.model)
        return network.predict(images, network.consistency_head)

    def output_losses(self, source: Observation, target: Observation, size: torch.Size) -> Losses:
        """What adapts the target's output: adversarial, by entropy, or both. `size` is the images' (height, width)."""
        losses: Losses = {}
        scaled = [round(self.student.context_scale * side) for side in size]
        source_logits, target_logits = resize(source.logits, scaled), resize(target.logits, scaled)
        if self.discriminator is not None:
            losses.update(self.discriminator(source_logits, target_logits))
        if self.entropy_weight > 0:
            losses["loss_entropy"] = self.entropy_weight * mean_entropy(target_logits)
        return losses
