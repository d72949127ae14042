"""Mean intersection over union from a confusion matrix."""

import logging
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from detectron2.data import MetadataCatalog
from detectron2.evaluation import DatasetEvaluator
from detectron2.utils import comm

from mic_det.data.label_ids import CLASSES, SYNTHIA_13, SYNTHIA_16
from mic_det.data.label_images import read_labels
from mic_det.data.records import Sample
from mic_det.evaluation.confusion import write_confusion
from mic_det.evaluation.metrics import Metrics

logger = logging.getLogger(__name__)


def confusion_matrix(labels: torch.Tensor, predictions: torch.Tensor, num_classes: int) -> torch.Tensor:
    """Pixel counts KxK, true class by predicted class, on the tensors' device; ignored pixels are left out.

    Args:
        labels: integer tensor of any shape, in 0..K-1 or 255.
        predictions: the same shape, in 0..K-1.
    """
    # One row more for ignored pixels: selecting the others would make the device wait for the host.
    rows = labels.long().clamp(max=num_classes)
    counts = torch.bincount((rows * num_classes + predictions.long()).flatten(), minlength=(num_classes + 1) * num_classes)
    return counts.view(num_classes + 1, num_classes)[:num_classes]


def pixel_metrics(matrix: np.ndarray | list[list[int]], classes: Sequence[str]) -> Metrics:
    """Metrics in percent of a confusion matrix KxK (true by predicted).

    Returns:
        {"mIoU", "mAcc", "aAcc", "fwIoU", "IoU/<class>"}; NaN for a class that is neither there nor predicted, which means leave
        out. With the 19 Cityscapes classes also "mIoU16" and "mIoU13", the means over SYNTHIA's classes.
    """
    matrix = np.asarray(matrix, dtype=np.float64)
    hits, truth, found = matrix.diagonal(), matrix.sum(axis=1), matrix.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        iou, recall = hits / (truth + found - hits), hits / truth
        accuracy = hits.sum() / truth.sum()
        weighted = np.nansum(iou * truth) / truth.sum()
    by_class = dict(zip(classes, 100 * iou, strict=True))
    metrics = {"mIoU": mean(by_class.values()), "mAcc": mean(100 * recall), "aAcc": 100 * accuracy, "fwIoU": 100 * weighted}
    if tuple(classes) == CLASSES:
        metrics["mIoU16"] = mean(by_class[name] for name in SYNTHIA_16)
        metrics["mIoU13"] = mean(by_class[name] for name in SYNTHIA_13)
    metrics = {name: float(value) for name, value in metrics.items()}
    return {**metrics, **{f"IoU/{name}": float(value) for name, value in by_class.items()}}


def mean(values: Iterable[float]) -> float:
    """Mean of what is not NaN; NaN when there is nothing."""
    values = [value for value in values if value == value]
    return sum(values) / len(values) if values else float("nan")


class PixelEvaluator(DatasetEvaluator):
    """Compares "sem_seg" scores with the label images of a registered dataset, at their size."""

    def __init__(self, dataset_name: str, output_dir: str | Path | None = None) -> None:
        """
        Args:
            dataset_name: registered segmentation dataset.
            output_dir: folder for `confusion.json`, or None.
        """
        self.classes = MetadataCatalog.get(dataset_name).stuff_classes
        self.output_dir = output_dir
        self.reset()

    def reset(self) -> None:
        """Forget what was seen."""
        self.matrix: torch.Tensor | int = 0  # nothing yet: what comes first brings its device

    def process(self, inputs: Sequence[Sample], outputs: Sequence[Sample]) -> None:
        """Count the pixels of a batch; outputs have "sem_seg" scores KxHxW. A label image that cannot be read is left out."""
        for sample, output in zip(inputs, outputs, strict=True):
            try:
                truth = read_labels(sample["sem_seg_file_name"], len(self.classes), output["sem_seg"].shape[-2:])
            except (OSError, ValueError) as error:
                logger.warning("Left out of the evaluation: %s", error)
                continue
            predictions = output["sem_seg"].argmax(dim=0)
            labels = torch.from_numpy(truth).to(predictions.device)
            self.matrix = self.matrix + confusion_matrix(labels, predictions, len(self.classes))

    def evaluate(self) -> Metrics | None:
        """Metrics on the main process, None elsewhere."""
        matrix = self.matrix if isinstance(self.matrix, torch.Tensor) else torch.zeros(len(self.classes), len(self.classes))
        matrix = sum(comm.all_gather(matrix.cpu()))
        if not comm.is_main_process():
            return None
        if self.output_dir:
            write_confusion(self.output_dir, self.classes, matrix.long().tolist())
        return pixel_metrics(matrix.numpy(), self.classes)
