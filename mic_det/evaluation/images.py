"""Accuracy of image classifiers, overall and per class."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from detectron2.data import MetadataCatalog
from detectron2.evaluation import DatasetEvaluator
from detectron2.utils import comm

from mic_det.data.records import Sample
from mic_det.evaluation.confusion import write_confusion
from mic_det.evaluation.metrics import Metrics


def class_metrics(matrix: np.ndarray | list[list[int]], classes: Sequence[str]) -> Metrics:
    """Metrics in percent of a confusion matrix KxK (true by predicted).

    Returns:
        {"top1": share of right images, "mean_class": mean over classes of the share of their images that is right (what VisDA
        papers quote), "accuracy/<class>"}; NaN for a class without images, which the mean leaves out.
    """
    matrix = np.asarray(matrix, dtype=np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        recall = 100 * matrix.diagonal() / matrix.sum(axis=1)
        top1 = 100 * matrix.trace() / matrix.sum()
    mean = float(np.nanmean(recall)) if not np.isnan(recall).all() else float("nan")
    by_class = {f"accuracy/{name}": float(value) for name, value in zip(classes, recall, strict=True)}
    return {"top1": float(top1), "mean_class": mean, **by_class}


class ClassEvaluator(DatasetEvaluator):
    """Compares "scores" with the classes of a registered dataset."""

    def __init__(self, dataset_name: str, output_dir: str | Path | None = None) -> None:
        """
        Args:
            dataset_name: registered classification dataset.
            output_dir: folder for `confusion.json`, or None.
        """
        self.classes = MetadataCatalog.get(dataset_name).thing_classes
        self.output_dir = output_dir
        self.reset()

    def reset(self) -> None:
        """Forget what was seen."""
        self.pairs: list[tuple[int, int]] = []

    def process(self, inputs: Sequence[Sample], outputs: Sequence[Sample]) -> None:
        """Note the true and the predicted class of a batch; outputs have K "scores"."""
        predictions = torch.stack([output["scores"].argmax() for output in outputs]).tolist()
        self.pairs += zip([sample["label"] for sample in inputs], predictions, strict=True)

    def evaluate(self) -> Metrics | None:
        """Metrics on the main process, None elsewhere."""
        pairs = [pair for part in comm.all_gather(self.pairs) for pair in part]
        if not comm.is_main_process():
            return None
        matrix = np.zeros((len(self.classes), len(self.classes)), dtype=np.int64)
        for truth, prediction in pairs:
            matrix[truth, prediction] += 1
        if self.output_dir:
            write_confusion(self.output_dir, self.classes, matrix.tolist())
        return class_metrics(matrix, self.classes)
