"""What the trainer, hooks and reports ask of a task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.engine import HookBase
from detectron2.evaluation import DatasetEvaluator
from torch import nn

from mic_det.adaptation import AdaptationBatch
from mic_det.checkpoint.export import Answers
from mic_det.data.stream import StreamDataset
from mic_det.evaluation.metrics import MetricNames
from mic_det.modeling.meta_arch.adapting import AdaptingModel

if TYPE_CHECKING:
    from mic_det.reporting.report import Section

Row = list[tuple[str, np.ndarray]]  # (caption, HxWx3 RGB uint8) of pictures side by side
Functions = dict[str, Callable[[], Any]]


class Task(ABC):
    """Data, evaluation and pictures of one task; it has no state.

    Attributes:
        data: module with `check_datasets` and `training_data`.
        pictures: module with `comparison` and `lessons`.
        metrics: MetricNames of its evaluation.
        progress: {label in the log line: logged value}.
        curves: {logged value: title} of the report's curves beside the losses.
        smallest_batch: images that one pass in training needs.
        test_batch: images per batch in evaluation.
    """

    data: Any  # both are modules
    pictures: Any
    metrics: MetricNames
    smallest_batch: int = 1
    test_batch: int = 1
    progress: Mapping[str, str] = MappingProxyType({})
    curves: Mapping[str, str] = MappingProxyType({})

    def check_datasets(self, cfg: CfgNode) -> None:
        """Read every dataset that a run will need. Raises UserError, before training starts, for a wrong one."""
        self.data.check_datasets(cfg)

    def training_data(self, cfg: CfgNode, labelled: bool) -> StreamDataset:
        """StreamDataset of the source (`labelled`) or the target."""
        return self.data.training_data(cfg, labelled)

    def pairs_images(self, cfg: CfgNode) -> bool:
        """Whether every source image meets one target image, so that iterations need as many of both."""
        return False

    @abstractmethod
    def test_mapper(self, cfg: CfgNode) -> Callable[[dict], dict]:
        """Callable from a record to a test sample; it raises one of READ_ERRORS for a bad image."""

    @abstractmethod
    def evaluator(self, cfg: CfgNode, dataset: str, folder: str | Path | None = None) -> DatasetEvaluator:
        """Detectron2 DatasetEvaluator whose `evaluate` returns {metric: percent} on the main process."""

    def metric_names(self, cfg: CfgNode) -> list[str]:
        """Names of the metrics that evaluation gives; `/<class>` stands for every class name."""
        return [*self.metrics.overall, *self.metrics.further, f"{self.metrics.per_class}/<class>"]

    def comparison(self, cfg: CfgNode, networks: Mapping[str, nn.Module], dataset: str, count: int = 4) -> list[Row]:
        """Rows of (caption, RGB image) for the truth and each of {caption: network} on images of a labelled dataset."""
        return self.pictures.comparison(cfg, networks, dataset, count)

    def lessons(self, cfg: CfgNode, model: AdaptingModel, count: int = 3, seed: int = 0) -> list[Row]:
        """Rows of (caption, RGB image): what some target images teach the student just now."""
        return self.pictures.lessons(cfg, model, count, seed)

    @abstractmethod
    def gallery(
        self,
        cfg: CfgNode,
        model: AdaptingModel,
        path: str | Path,
        source: str | None = None,
        truth: str | None = None,
        count: int = 24,
    ) -> list[str]:
        """Write an HTML gallery of a model's pseudo-labels to `path`; returns names of unreadable files.

        Args:
            source: unlabelled images: a registered dataset, a folder or a COCO JSON file.
            truth: instead of `source`, a registered dataset with labels, which are compared.
            count: images to show.
        """

    @abstractmethod
    def predict(
        self,
        cfg: CfgNode,
        model: nn.Module,
        source: str | Path,
        output: str | Path,
        min_score: float = 0.5,
        flat: bool = False,
    ) -> tuple[int, list[str]]:
        """Run a trained model on an image, a folder or a video and write what it says to the folder `output`.

        Args:
            model: what predicts on detectron2's list of dicts, in evaluation mode: a meta-architecture of ours or one network.
            min_score: least score of boxes that are drawn.
            flat: write all label images of a kind to one folder.

        Returns:
            (number of images or frames, names of unreadable files).
        """

    @abstractmethod
    def network_input(self, cfg: CfgNode, image: np.ndarray) -> torch.Tensor:
        """3xHxW uint8 at test size of an HxWx3 uint8 image, both in the network's channel order."""

    @abstractmethod
    def answers(self, cfg: CfgNode) -> Answers:
        """What its exported networks answer."""

    @abstractmethod
    def input_sizes(self, cfg: CfgNode) -> dict[str, Any]:
        """{name: pixels} that say how `network_input` resizes."""

    def sections(self, cfg: CfgNode, folder: str | Path) -> list[Section]:
        """Further sections of a run's report, made from what its last evaluation left in `folder`."""
        return []

    def notes(self, cfg: CfgNode) -> list[str]:
        """Sentences of a run's report that nobody should overlook."""
        return []

    def watches(self, cfg: CfgNode) -> list[HookBase]:
        """Hooks that warn when pseudo-labels go wrong."""
        return []

    @abstractmethod
    def conditions(self, cfg: CfgNode) -> list[str]:
        """Sentences of a study's report on what is special to the task's settings."""

    @abstractmethod
    def step_parts(self, core: Any, batch: AdaptationBatch) -> Functions:
        """The network passes of a training step, each alone, for benchmarks: {name: callable -> losses or None}."""

    @abstractmethod
    def step_extras(self, core: Any, batch: AdaptationBatch) -> Functions:
        """The parts of a step that are not network passes: {name: callable}."""
