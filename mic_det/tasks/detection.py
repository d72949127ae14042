"""Object detection."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.data import MetadataCatalog
from detectron2.engine import HookBase
from torch import nn

from mic_det.adaptation import AdaptationBatch
from mic_det.checkpoint.export import DETECTIONS, Answers
from mic_det.data import detection as data
from mic_det.data.detection_mapper import TestMapper
from mic_det.evaluation.coco import BoxEvaluator
from mic_det.evaluation.matching import match_all
from mic_det.evaluation.metrics import BOXES
from mic_det.inference import predict_boxes
from mic_det.modeling.meta_arch.adapting import AdaptingModel
from mic_det.reporting import detection_pictures, report
from mic_det.reporting.detection_gallery import write_gallery

from .base import Functions, Task
from .watches import PseudoBoxWatch

if TYPE_CHECKING:
    from mic_det.reporting.report import Section


class DetectionTask(Task):
    """Boxes of objects, measured by COCO's average precision."""

    data = data
    pictures = detection_pictures
    metrics = BOXES
    progress = MappingProxyType({"boxes": "source_boxes_per_image", "pseudo": "pseudo_boxes_per_image"})
    curves = MappingProxyType(
        {
            "pseudo_boxes_per_image": "pseudo boxes per target image",
            "pseudo_score": "mean score of the pseudo boxes",
            "align_image_accuracy": "accuracy of the image-level domain classifiers",
            "align_instance_accuracy": "accuracy of the instance-level domain classifiers",
        }
    )

    def test_mapper(self, cfg: CfgNode) -> TestMapper:
        return TestMapper(cfg)

    def evaluator(self, cfg: CfgNode, dataset: str, folder: str | Path | None = None) -> BoxEvaluator:
        return BoxEvaluator(dataset, folder, cfg.TEST.VOC_METRICS, cfg.TEST.DETECTIONS_PER_IMAGE)

    def metric_names(self, cfg: CfgNode) -> list[str]:
        voc = [name.upper() for name in cfg.TEST.VOC_METRICS]
        return [*super().metric_names(cfg), "AP/<class>", *voc, *(f"{name}/<class>" for name in voc)]

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
        return predict_boxes(cfg, model, source, output, min_score)

    def network_input(self, cfg: CfgNode, image: np.ndarray) -> torch.Tensor:
        return TestMapper(cfg).prepare(image)

    def answers(self, cfg: CfgNode) -> Answers:
        return DETECTIONS

    def input_sizes(self, cfg: CfgNode) -> dict[str, Any]:
        return {"short_side": cfg.INPUT.MIN_SIZE_TEST, "longest_side": cfg.INPUT.MAX_SIZE_TEST}

    def sections(self, cfg: CfgNode, folder: str | Path) -> list[Section]:
        """What is right, wrong and missed, from the COCO results of the first evaluated model."""
        found: list[Section] = []
        model = cfg.TEST.MODELS[0]
        for dataset in cfg.DATASETS.TEST:
            detections = Path(folder) / "inference" / model / dataset / "coco_results.json"
            if detections.is_file():
                matches = match_all(MetadataCatalog.get(dataset).truth(), json.loads(detections.read_text()))
                found.append(report.error_section(f"Errors of the {model} on {dataset}", matches))
        return found

    def watches(self, cfg: CfgNode) -> list[HookBase]:
        return [PseudoBoxWatch(cfg.LOG.COLLAPSE_ITERS, cfg.LOG.RUNAWAY_FACTOR, cfg.MODEL.MIC.BURN_IN)]

    def conditions(self, cfg: CfgNode) -> list[str]:
        mic = cfg.MODEL.MIC
        return [
            f"Short side {cfg.INPUT.MIN_SIZE_TRAIN[0]} px in training and test.",
            f"Teacher alpha {mic.TEACHER.ALPHA:g}, threshold {mic.PSEUDO_LABELS.THRESHOLD:g}, weights "
            f"{mic.PSEUDO_LABELS.WEIGHT}, blocks of {mic.MASK.BLOCK_SIZE} px, mask ratio {mic.MASK.RATIO:g}.",
            "Alignment, where it is on: gradient factors "
            f"{mic.ALIGN.IMAGE_GRADIENT:g} and {mic.ALIGN.INSTANCE_GRADIENT:g}, loss weights {mic.ALIGN.IMAGE_WEIGHT:g}, "
            f"{mic.ALIGN.INSTANCE_WEIGHT:g} and {mic.ALIGN.CONSISTENCY_WEIGHT:g}.",
        ]

    def step_parts(self, core: Any, batch: AdaptationBatch) -> Functions:
        images = core.student.preprocess_image(batch.target)
        labels = core.pseudo_labels(core.teacher_predictions(images))
        # With alignment, this pass takes the target's features along.
        aligned = partial(core.aligned_losses, batch.source, images)
        return {
            "teacher forward": partial(core.teacher_predictions, images),
            "student source forward+backward": partial(core.student, batch.source) if core.alignment is None else aligned,
            "student masked forward+backward": partial(core.pseudo_box_losses, images, labels),
        }

    def step_extras(self, core: Any, batch: AdaptationBatch) -> Functions:
        images = core.student.preprocess_image(batch.target)
        return {
            "mask and jitter": partial(core.consistency.view, images.tensor),
            "mask": partial(core.consistency.mask, images.tensor),
        }
