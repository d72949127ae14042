import json
import math

import numpy as np
import pytest
import torch
from detectron2.data import MetadataCatalog

from mic_det.evaluation.images import ClassEvaluator, class_metrics
from mic_det.evaluation.metrics import IMAGES, names_in


@pytest.fixture
def evaluator(tmp_path):
    MetadataCatalog.get("three_classes").set(thing_classes=["a", "b", "c"])
    yield ClassEvaluator("three_classes", tmp_path)
    MetadataCatalog.remove("three_classes")


def test_accuracy_is_that_of_counting(evaluator, tmp_path):
    rng = np.random.default_rng(0)
    truth, scores = rng.choice(3, 40, p=[0.7, 0.2, 0.1]), torch.tensor(rng.random((40, 3)))
    for start in range(0, 40, 7):
        batch = slice(start, start + 7)
        evaluator.process([{"label": int(label)} for label in truth[batch]], [{"scores": row} for row in scores[batch]])
    metrics = evaluator.evaluate()
    right = scores.argmax(dim=1).numpy() == truth
    by_class = [100 * right[truth == label].mean() for label in range(3)]
    assert metrics["top1"] == pytest.approx(100 * right.mean())
    assert metrics["mean_class"] == pytest.approx(np.mean(by_class)) and metrics["mean_class"] != pytest.approx(metrics["top1"])
    assert [metrics[f"accuracy/{name}"] for name in "abc"] == pytest.approx(by_class)
    assert np.sum(json.loads((tmp_path / "confusion.json").read_text())["true_by_predicted"]) == 40
    assert names_in(metrics) is IMAGES


def test_a_class_without_images_is_left_out():
    metrics = class_metrics([[3, 1, 0], [0, 0, 0], [0, 2, 2]], "abc")
    assert metrics["mean_class"] == pytest.approx((75 + 50) / 2) and math.isnan(metrics["accuracy/b"])
    assert math.isnan(class_metrics(np.zeros((3, 3)), "abc")["top1"])
