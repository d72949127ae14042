import json

import pytest
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.modeling import build_model

from mic_det.data.catalog import register_coco
from mic_det.evaluation import evaluate, evaluate_network
from mic_det.tasks import task_of


@pytest.fixture
def model(tiny_cfg):
    torch.manual_seed(0)
    return build_model(tiny_cfg()).train()


def test_teacher_and_student_are_evaluated_apart_and_stay_in_training(model, tiny_cfg):
    cfg = tiny_cfg("DATASETS.TEST", ("toycity_val",))
    results = evaluate(task_of(cfg), cfg, model, 5)
    assert set(results) == {"teacher/toycity_val", "student/toycity_val"}
    assert model.student.training and not model.teacher.model.training


def test_an_unreadable_image_is_reported_and_survived(model, tiny_cfg, datasets, tmp_path, caplog):
    content = json.loads((datasets / "toycity/annotations/instances_val.json").read_text())
    for image in content["images"]:
        image["file_name"] = str(datasets / "toycity" / image["file_name"])
    (tmp_path / "broken.png").write_bytes(b"no image")
    content["images"][0]["file_name"] = str(tmp_path / "broken.png")
    (tmp_path / "labels.json").write_text(json.dumps(content))
    register_coco("with_broken", tmp_path / "labels.json", "")
    with caplog.at_level("WARNING"):
        metrics = evaluate_network(task_of(tiny_cfg()), tiny_cfg(), model.network("teacher"), "with_broken", tmp_path)
    DatasetCatalog.remove("with_broken")
    MetadataCatalog.remove("with_broken")
    assert "Unreadable, evaluated without it" in caplog.text and "broken.png" in caplog.text
    assert metrics["AP50"] >= 0
    seen = {item["image_id"] for item in json.loads((tmp_path / "coco_results.json").read_text())}
    assert seen == {image["id"] for image in content["images"][1:]}
