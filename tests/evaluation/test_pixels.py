"""Pixel metrics against detectron2's evaluator and brute force."""

import json
import math

import cv2
import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.evaluation import SemSegEvaluator
from PIL import Image

from mic_det.data.label_ids import CLASSES
from mic_det.data.label_images import register_segmentation
from mic_det.evaluation.pixels import PixelEvaluator, confusion_matrix, pixel_metrics


@pytest.fixture
def dataset(tmp_path):
    """Three images with random labels of 4 classes, some void, of different sizes."""
    rng = np.random.default_rng(0)
    pairs = []
    for index in range(3):
        labels = rng.choice([0, 1, 2, 3, 255], (10 + index, 12), p=[0.4, 0.3, 0.15, 0.1, 0.05]).astype(np.uint8)
        pairs.append((tmp_path / f"{index}.png", tmp_path / f"label_{index}.png"))
        cv2.imwrite(str(pairs[-1][0]), labels)
        cv2.imwrite(str(pairs[-1][1]), labels)
    register_segmentation("four", lambda: pairs, lambda: [image for image, _ in pairs], ("a", "b", "c", "d"))
    yield pairs
    DatasetCatalog.remove("four")
    MetadataCatalog.remove("four")


def run(evaluator, records, scores):
    evaluator.reset()
    for record, own in zip(records, scores, strict=True):
        evaluator.process([record], [{"sem_seg": own}])
    return evaluator.evaluate()


def load(path, dtype):
    """Detectron2's own does not work with NumPy 2."""
    with Image.open(path) as image:
        return np.array(image, dtype=dtype)


def test_metrics_equal_detectron2s(dataset, tmp_path):
    torch.manual_seed(0)
    records = DatasetCatalog.get("four")
    scores = [torch.rand(4, 10 + index, 12) for index in range(3)]
    ours = run(PixelEvaluator("four", tmp_path / "out"), records, scores)
    theirs = run(SemSegEvaluator("four", distributed=False, sem_seg_loading_fn=load), records, scores)["sem_seg"]
    for own, other in {"mIoU": "mIoU", "mAcc": "mACC", "aAcc": "pACC", "fwIoU": "fwIoU", "IoU/b": "IoU-b"}.items():
        assert ours[own] == pytest.approx(theirs[other]), own
    saved = json.loads((tmp_path / "out/confusion.json").read_text())
    assert saved["classes"] == ["a", "b", "c", "d"]
    assert np.sum(saved["true_by_predicted"]) == sum((cv2.imread(str(label), -1) != 255).sum() for _, label in dataset)
    assert "mIoU16" not in ours


def test_the_confusion_matrix_equals_a_loop():
    torch.manual_seed(0)
    labels, predictions = torch.randint(0, 5, (6, 7)), torch.randint(0, 4, (6, 7))
    labels[labels == 4] = 255
    expected = torch.zeros(4, 4, dtype=torch.long)
    for true, found in zip(labels.flatten().tolist(), predictions.flatten().tolist(), strict=True):
        if true != 255:
            expected[true, found] += 1
    assert torch.equal(confusion_matrix(labels, predictions, 4), expected)


def test_a_class_that_is_absent_is_left_out_and_one_that_is_only_predicted_counts():
    """As the published evaluation (nanmean of intersection over union)."""
    metrics = pixel_metrics([[8, 2, 0], [0, 0, 0], [0, 0, 0]], ("a", "b", "c"))
    assert metrics["IoU/a"] == pytest.approx(80) and metrics["IoU/b"] == 0 and math.isnan(metrics["IoU/c"])
    assert metrics["mIoU"] == pytest.approx(40) and metrics["mAcc"] == pytest.approx(80)
    assert math.isnan(pixel_metrics(np.zeros((2, 2)), ("a", "b"))["mIoU"])


def test_means_over_synthias_classes():
    matrix = np.diag(np.arange(1.0, 20)) + 1
    metrics = pixel_metrics(matrix, CLASSES)
    iou = {name: metrics[f"IoU/{name}"] for name in CLASSES}
    sixteen = [value for name, value in iou.items() if name not in ("terrain", "truck", "train")]
    thirteen = [iou[name] for name in CLASSES if name not in ("terrain", "truck", "train", "wall", "fence", "pole")]
    assert len(sixteen) == 16 and metrics["mIoU16"] == pytest.approx(sum(sixteen) / 16)
    assert len(thirteen) == 13 and metrics["mIoU13"] == pytest.approx(sum(thirteen) / 13)
    # The published way to 16 classes, when the other three are 0.
    absent = matrix.copy()
    for index in (9, 14, 16):
        absent[index], absent[:, index] = 0, 0
        absent[index, 0] = 1
    metrics = pixel_metrics(absent, CLASSES)
    assert metrics["mIoU16"] == pytest.approx(metrics["mIoU"] * 19 / 16)


@pytest.mark.parametrize("broken", [b"no image", cv2.imencode(".png", np.zeros((5, 12), np.uint8))[1].tobytes()])
def test_a_broken_label_is_left_out_and_reported(dataset, caplog, broken):
    dataset[0][1].write_bytes(broken)
    records = DatasetCatalog.get("four")
    perfect = [
        torch.nn.functional.one_hot(torch.from_numpy(cv2.imread(str(label), -1)).long() % 255, 4) for _, label in dataset[1:]
    ]
    scores = [torch.zeros(4, 10, 12), *(own.permute(2, 0, 1).float() for own in perfect)]
    with caplog.at_level("WARNING"):
        metrics = run(PixelEvaluator("four"), records, scores)
    assert "Left out of the evaluation" in caplog.text and metrics["mIoU"] == pytest.approx(100)
