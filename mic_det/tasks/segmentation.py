"""Semantic segmentation."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.engine import HookBase
from torch import nn

from mic_det.adaptation import AdaptationBatch
from mic_det.checkpoint.export import PIXEL_PROBABILITIES, SCALE_ATTENTION, Answers
from mic_det.data import segmentation as data
from mic_det.data.segmentation_mapper import SegmentationTestMapper
from mic_det.evaluation.metrics import PIXELS
from mic_det.evaluation.pixels import PixelEvaluator
from mic_det.inference import predict_labels
from mic_det.language import open_bank
from mic_det.modeling.meta_arch.adapting import AdaptingModel
from mic_det.modeling.meta_arch.passes import Pass
from mic_det.reporting import report, segmentation_pictures
from mic_det.reporting.segmentation_gallery import write_gallery

from .base import Functions, Task
from .watches import PixelLabelWatch

if TYPE_CHECKING:
    from mic_det.reporting.report import Section


class SegmentationTask(Task):
    """Classes of pixels, measured by intersection over union."""

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

    def pairs_images(self, cfg: CfgNode) -> bool:
        return cfg.MODEL.MIC.MIX.ENABLED

    def test_mapper(self, cfg: CfgNode) -> SegmentationTestMapper:
        return SegmentationTestMapper(cfg)

    def evaluator(self, cfg: CfgNode, dataset: str, folder: str | Path | None = None) -> PixelEvaluator:
        return PixelEvaluator(dataset, folder)

    def gallery(
        self,
        cfg: CfgNode,
        model: AdaptingModel,
        path: str | Path,
        source: str | None = None,
        truth: str | None = None,
        count: int = 24,
    ) -> list[str]:
        return write_gallery(cfg, model, path, source, truth, count)

    def predict(
        self,
        cfg: CfgNode,
        model: nn.Module,
        source: str | Path,
        output: str | Path,
        min_score: float = 0.5,
        flat: bool = False,
    ) -> tuple[int, list[str]]:
        return predict_labels(cfg, model, source, output, flat)

    def network_input(self, cfg: CfgNode, image: np.ndarray) -> torch.Tensor:
        return SegmentationTestMapper(cfg).prepare(image)["image"]

    def answers(self, cfg: CfgNode) -> Answers:
        return SCALE_ATTENTION if cfg.MODEL.HRDA.OUTPUT == "att" else PIXEL_PROBABILITIES

    def input_sizes(self, cfg: CfgNode) -> dict[str, Any]:
        return {"fitted_into": cfg.INPUT.SEM_SEG.TEST_SIZE}

    def sections(self, cfg: CfgNode, folder: str | Path) -> list[Section]:
        return report.confusion_sections(Path(folder), cfg.TEST.MODELS[0], cfg.DATASETS.TEST, "pixels")

    def notes(self, cfg: CfgNode) -> list[str]:
        """What the language decoder knows of the classes."""
        head = cfg.MODEL.LANGUAGE_HEAD
        bank = open_bank(head.TEXT_BANK, cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES) if head.ENABLED else None
        return [f"Language decoder: {bank}."] if bank is not None else []

    def watches(self, cfg: CfgNode) -> list[HookBase]:
        return [PixelLabelWatch(cfg.LOG.COLLAPSE_ITERS, cfg.LOG.LARGEST_SHARE, cfg.MODEL.MIC.BURN_IN)]

    def conditions(self, cfg: CfgNode) -> list[str]:
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

    def step_parts(self, core: Any, batch: AdaptationBatch) -> Functions:
        images = core.student.preprocess_image(batch.target).tensor
        parts: Functions = {"teacher forward": partial(core.teacher_logits, core.teacher, images)}
        for one in core.plan(batch):
            parts[f"student {one.name} forward+backward"] = partial(core.losses_of, one)
        return parts

    def step_extras(self, core: Any, batch: AdaptationBatch) -> Functions:
        images = core.student.preprocess_image(batch.target).tensor
        source = Pass("source", core.student.preprocess_image(batch.source).tensor, core.student.labels(batch.source))
        extras: Functions = {}
        if core.mixing is not None:
            extras["mix and jitter"] = lambda: core.augmented(core.mixed(source, replace(source, images=images)))
        if core.consistency is not None:
            extras["mask and jitter"] = partial(core.consistency.view, images)
        return extras
