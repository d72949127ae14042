"""Semantic segmentation."""

from pathlib import Path
from types import MappingProxyType

import torch

from mic_det.checkpoint.export import PIXEL_PROBABILITIES, SCALE_ATTENTION
from mic_det.data import segmentation as data
from mic_det.data.segmentation_mapper import SegmentationTestMapper
from mic_det.evaluation.metrics import PIXELS
from mic_det.evaluation.pixels import PixelEvaluator
from mic_det.inference import predict_labels
from mic_det.language import open_bank
from mic_det.reporting import report, segmentation_pictures
from mic_det.reporting.segmentation_gallery import write_gallery

from .base import Task
from .watches import PixelLabelWatch


class SegmentationTask(Task):
    data = data
    pictures = segmentation_pictures
    metrics = PIXELS
    progress = MappingProxyType({"quality": "pseudo_quality"})
    curves = MappingProxyType(
        {
            "pseudo_quality": "quality of the pseudo-labels (share of confident pixels)",
            "pseudo_weight": "mean weight of the pseudo-labels (0 in margins)",
            "pseudo_largest_share": "share of the most frequent pseudo-label",
        }
    )

    def pairs_images(self, cfg):
        return cfg.MODEL.MIC.MIX.ENABLED

    def test_mapper(self, cfg):
        return SegmentationTestMapper(cfg)

    def evaluator(self, cfg, dataset, folder=None):
        return PixelEvaluator(dataset, folder)

    def gallery(self, cfg, model, path, source=None, truth=None, count=24):
        return write_gallery(cfg, model, path, source, truth, count)

    def predict(self, cfg, model, source, output, min_score=0.5, flat=False):
        return predict_labels(cfg, model, source, output, flat)

    def network_input(self, cfg, image):
        return SegmentationTestMapper(cfg).prepare(image)["image"]

    def answers(self, cfg):
        return SCALE_ATTENTION if cfg.MODEL.HRDA.OUTPUT == "att" else PIXEL_PROBABILITIES

    def input_sizes(self, cfg):
        return {"fitted_into": cfg.INPUT.SEM_SEG.TEST_SIZE}

    def sections(self, cfg, folder):
        return report.confusion_sections(Path(folder), cfg.TEST.MODELS[0], cfg.DATASETS.TEST, "pixels")

    def notes(self, cfg):
        """What the language decoder knows of the classes."""
        head = cfg.MODEL.LANGUAGE_HEAD
        bank = open_bank(head.TEXT_BANK, cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES) if head.ENABLED else None
        return [f"Language decoder: {bank}."] if bank is not None else []

    def watches(self, cfg):
        return [PixelLabelWatch(cfg.LOG.COLLAPSE_ITERS, cfg.LOG.LARGEST_SHARE, cfg.MODEL.MIC.BURN_IN)]

    def conditions(self, cfg):
        mic, semantic = cfg.MODEL.MIC, cfg.INPUT.SEM_SEG
        rare = f"temperature {cfg.DATASETS.RARE_CLASSES.TEMPERATURE:g}" if cfg.DATASETS.RARE_CLASSES.ENABLED else "off"
        sizes = [size or "their own size" for size in (semantic.SOURCE_SIZE, semantic.TARGET_SIZE, semantic.TEST_SIZE)]
        return [
            f"Source, target and test images fitted into {sizes[0]}, {sizes[1]} and {sizes[2]} (width, height), crops of "
            f"{tuple(cfg.INPUT.CROP.SIZE)} (height, width).",
            f"Rare Class Sampling {rare}; teacher alpha {mic.TEACHER.ALPHA:g}, threshold {mic.PSEUDO_LABELS.THRESHOLD:g}, "
            f"ClassMix with jitter {mic.AUGMENT.JITTER:g}; masks (`MASK.IMAGES {mic.MASK.IMAGES}`): blocks of "
            f"{mic.MASK.BLOCK_SIZE} px, ratio {mic.MASK.RATIO:g}, loss weight {mic.LOSS_WEIGHT:g}.",
        ]

    def step_parts(self, core, batch):
        images = core.student.preprocess_image(batch.target).tensor
        source = core.student.preprocess_image(batch.source).tensor, core.student.labels(batch.source)
        target = images, *core.pseudo_labels(core.teacher_logits(core.teacher, images))[:2]
        parts = {
            "teacher forward": lambda: core.teacher_logits(core.teacher, images),
            "student source forward+backward": lambda: core.source_losses(*source),
        }
        if core.mixing is not None:
            parts["student mixed forward+backward"] = lambda: core.mixed_losses(*target)
        if core.masks_source:
            parts["student masked source forward+backward"] = lambda: core.masked_losses(*source, None)
        if core.masks_target or core.masks_mixed:
            parts["student masked forward+backward"] = lambda: core.masked_losses(*target)
        return parts

    def step_extras(self, core, batch):
        images = core.student.preprocess_image(batch.target).tensor
        source = core.student.preprocess_image(batch.source).tensor, core.student.labels(batch.source)
        ones = torch.ones_like(source[1], dtype=torch.float32)
        extras = {}
        if core.mixing is not None:
            extras["mix and jitter"] = lambda: core.augmented(core.mix(source, (images, source[1], ones)))
        if core.consistency is not None:
            extras["mask and jitter"] = lambda: core.consistency.view(images)
        return extras
