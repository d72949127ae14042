"""Exported folders and files are read back with equal predictions."""

import json

import numpy as np
import pytest
import torch

import mic_det
from mic_det.checkpoint import hub
from mic_det.errors import UserError
from tests.api.conftest import detector  # noqa: F401 - a fixture

LABELS = [f"kind {index}" for index in range(8)]


@pytest.fixture
def model(detector):  # noqa: F811
    return mic_det.load(detector / "plain.pth", config=detector / "plain.yaml")


def test_a_folder_is_read_back(model, tmp_path):
    results = [{"iteration": 2, "model": "teacher", "dataset": "fog", "AP50": 61.25, "AP50/car": 3.0, "machine": "here"}]
    hub.save_hub(tmp_path / "mine", model.cfg, model.network, LABELS, results)
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == [
        "README.md",
        "config.yaml",
        "labels.txt",
        "model.safetensors",
    ]
    again = mic_det.load(tmp_path / "mine")
    picture = np.random.default_rng(1).integers(0, 256, (60, 100, 3), dtype=np.uint8)
    expected, found = (each.predict(picture, min_score=0).instances for each in (model, again))
    assert len(expected) and torch.equal(expected.pred_boxes.tensor, found.pred_boxes.tensor)
    assert torch.equal(expected.scores, found.scores) and again.classes == LABELS
    card = (tmp_path / "mine/README.md").read_text()
    assert "| teacher | fog | 61.2 |" in card and "kind 3" in card and "object-detection" in card and "license" not in card
    assert str(tmp_path) not in (tmp_path / "mine/config.yaml").read_text()
    with pytest.raises(UserError, match="not empty"):
        hub.save_hub(tmp_path / "mine", model.cfg, model.network, LABELS)


def test_a_single_file_is_read_back(model, detector, tmp_path):  # noqa: F811
    hub.save_safetensors(model.network, tmp_path / "weights.safetensors")
    again = mic_det.load(tmp_path / "weights.safetensors", config=detector / "plain.yaml")
    for name, value in model.core.state_dict().items():
        assert torch.equal(value, again.core.state_dict()[name]), name


def test_the_last_evaluation_is_quoted(tmp_path):
    lines = [{"iteration": 1, "model": "teacher"}, {"iteration": 2, "model": "teacher"}, {"iteration": 2, "model": "student"}]
    (tmp_path / "evaluation.json").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    assert hub.results_beside(tmp_path / "model_final.pth") == lines[1:]
    assert hub.results_beside(tmp_path / "elsewhere/model_final.pth") == []
