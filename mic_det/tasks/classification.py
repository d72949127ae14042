"""Image classification."""

from __future__ import annotations

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
from mic_det.checkpoint.export import CLASS_PROBABILITIES, Answers
from mic_det.config import num_classes
from mic_det.data import classification as data
from mic_det.data.classification_mapper import ClassificationMapper
from mic_det.evaluation.images import ClassEvaluator
from mic_det.evaluation.metrics import IMAGES
from mic_det.inference import predict_classes
from mic_det.modeling.meta_arch.adapting import AdaptingModel
from mic_det.reporting import classification_pictures, report
from mic_det.reporting.classification_gallery import write_gallery

from .base import Functions, Task
from .watches import ImageLabelWatch

if TYPE_CHECKING:
    from mic_det.reporting.report import Section

MOST_CLASSES = 100  # whose confusion can be read in a picture


class ClassificationTask(Task):
    """Classes of whole images, measured by accuracy."""

    data = data
    pictures = classification_pictures
    metrics = IMAGES
    smallest_batch = 2  # the bottleneck's batch normalisation compares the images of a batch
    test_batch = 32  # all images have one size
    progress = MappingProxyType({"score": "pseudo_score"})
    curves = MappingProxyType(
        {
            "pseudo_score": "mean probability of the pseudo-labels",
            "pseudo_largest_share": "share of the most frequent pseudo-label",
            "domain_accuracy": "accuracy of the domain discriminator",
        }
    )

    def test_mapper(self, cfg: CfgNode) -> ClassificationMapper:
        return ClassificationMapper(cfg, labelled=True, random=False)

    def evaluator(self, cfg: CfgNode, dataset: str, folder: str | Path | None = None) -> ClassEvaluator:
        return ClassEvaluator(dataset, folder)

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
        return predict_classes(cfg, model, source, output)

    def network_input(self, cfg: CfgNode, image: np.ndarray) -> torch.Tensor:
        return ClassificationMapper(cfg, random=False).prepare(image)

    def answers(self, cfg: CfgNode) -> Answers:
        return CLASS_PROBABILITIES

    def input_sizes(self, cfg: CfgNode) -> dict[str, Any]:
        return {"squeezed_to": cfg.INPUT.CLASSIFICATION.RESIZE, "crop": cfg.INPUT.CLASSIFICATION.CROP}

    def sections(self, cfg: CfgNode, folder: str | Path) -> list[Section]:
        if num_classes(cfg) > MOST_CLASSES:
            return []
        return report.confusion_sections(Path(folder), cfg.TEST.MODELS[0], cfg.DATASETS.TEST, "images")

    def watches(self, cfg: CfgNode) -> list[HookBase]:
        return [ImageLabelWatch(cfg.LOG.COLLAPSE_ITERS, cfg.LOG.LARGEST_SHARE, cfg.MODEL.MIC.BURN_IN)]

    def conditions(self, cfg: CfgNode) -> list[str]:
        mic, sizes = cfg.MODEL.MIC, cfg.INPUT.CLASSIFICATION
        return [
            f"Images squeezed to {sizes.RESIZE} x {sizes.RESIZE} px, crops of {sizes.CROP} px"
            f"{' of random size and ratio' if sizes.RANDOM_RESIZED_CROP else ''}.",
            f"CDAN weight {mic.CDAN.WEIGHT:g}, MCC weight {mic.MCC.WEIGHT:g} at temperature {mic.MCC.TEMPERATURE:g}, SAM radius "
            f"{cfg.SOLVER.SAM_RHO:g}; teacher alpha {mic.TEACHER.ALPHA:g}, pseudo-label weights {mic.PSEUDO_LABELS.WEIGHT}, "
            f"blocks of {mic.MASK.BLOCK_SIZE} px, mask ratio {mic.MASK.RATIO:g}.",
        ]

    def step_parts(self, core: Any, batch: AdaptationBatch) -> Functions:
        step = core.plan(batch)
        parts: Functions = {}
        if core.consistency is not None:
            parts["teacher forward"] = partial(core.teacher_logits, step.target)
        # Sharpness-aware minimisation takes both student passes twice.
        for name, part in (("ascent", core.ascent(step)), ("descent", step)):
            parts[f"student joint {name} forward+backward"] = partial(core.joint_losses, part)
            if core.consistency is not None:
                parts[f"student masked {name} forward+backward"] = partial(core.masked_losses, part)
        return parts

    def step_extras(self, core: Any, batch: AdaptationBatch) -> Functions:
        if core.consistency is None:
            return {}
        return {"mask and jitter": partial(core.consistency.view, core.student.preprocess_image(batch.target))}
