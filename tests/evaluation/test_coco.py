import contextlib
import io
import json

import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.structures import Boxes, Instances
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mic_det.data.coco import load_json
from mic_det.evaluation import BoxEvaluator, networks
from mic_det.evaluation.coco import coco_metrics
from mic_det.evaluation.networks import record_results


def write_truth(path, boxes, categories=2):
    """boxes: list per image of (category, bbox)."""
    annotations = [
        {"image_id": image, "category_id": kind, "bbox": box, "area": box[2] * box[3], "iscrowd": 0}
        for image, own in enumerate(boxes)
        for kind, box in own
    ]
    for index, item in enumerate(annotations, start=1):
        item["id"] = index
    content = {
        "images": [{"id": index, "file_name": f"{index}.png", "height": 100, "width": 100} for index in range(len(boxes))],
        "annotations": annotations,
        "categories": [{"id": index, "name": f"class{index}"} for index in range(1, categories + 1)],
    }
    path.write_text(json.dumps(content))
    return path


def random_case(path, seed):
    rng = np.random.default_rng(seed)
    truth = [
        [(int(rng.integers(1, 4)), [*map(float, rng.integers(0, 60, 2)), *map(float, rng.integers(8, 40, 2))]) for _ in range(4)]
        for _ in range(6)
    ]
    detections = []
    for image, own in enumerate(truth):
        for kind, box in own:
            if rng.random() < 0.8:
                moved = (np.array(box) + rng.normal(0, 3, 4)).tolist()
                detections.append({"image_id": image, "category_id": kind, "bbox": moved, "score": float(rng.random())})
        detections.append({"image_id": image, "category_id": 1, "bbox": [1.0, 1, 9, 9], "score": float(rng.random())})
    return write_truth(path, truth, 3), detections


@pytest.fixture(params=["compiled", "pycocotools"])
def backend(request, monkeypatch):
    """The compiled evaluation where it is installed, and the plain one that takes its place where it is not."""
    if request.param == "pycocotools":
        monkeypatch.setattr("mic_det.evaluation.coco.COCO", COCO)
        monkeypatch.setattr("mic_det.evaluation.coco.COCOeval", COCOeval)


@pytest.mark.parametrize("seed", range(4))
def test_equals_pycocotools(tmp_path, seed, backend):
    """Overall values from its summary; per-class values from evaluating each class alone."""
    path, detections = random_case(tmp_path / "truth.json", seed)
    found = coco_metrics(load_json(path), detections)
    with contextlib.redirect_stdout(io.StringIO()):
        truth = COCO(str(path))
        results = truth.loadRes(detections)

        def evaluate(categories):
            evaluation = COCOeval(truth, results, "bbox")
            evaluation.params.catIds = categories
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
            return 100 * evaluation.stats

        overall = evaluate([1, 2, 3])
        alone = [evaluate([index]) for index in (1, 2, 3)]
    np.testing.assert_allclose([found["AP"], found["AP50"], found["AP75"]], overall[:3], atol=1e-6)
    for index, stats in enumerate(alone, start=1):
        np.testing.assert_allclose([found[f"AP/class{index}"], found[f"AP50/class{index}"]], stats[:2], atol=1e-6)


def test_a_single_class_has_an_overall_value(tmp_path, backend):
    path = write_truth(tmp_path / "t.json", [[(1, [10.0, 10, 20, 20])]], categories=1)
    found = coco_metrics(load_json(path), [{"image_id": 0, "category_id": 1, "bbox": [10.0, 10, 20, 20], "score": 0.9}])
    assert [found[name] for name in ("AP", "AP50", "AP50/class1")] == pytest.approx([100, 100, 100])


def test_no_detections_and_classes_without_truth(tmp_path, backend):
    path = write_truth(tmp_path / "t.json", [[(1, [10.0, 10, 20, 20])]])
    found = coco_metrics(load_json(path), [])
    assert found["AP50"] == 0 and np.isnan(found["AP50/class2"])


def test_evaluator_maps_classes_and_writes_results(tmp_path):
    path = write_truth(tmp_path / "t.json", [[(2, [10.0, 10, 20, 20])]])
    name = "evaluator_test"
    MetadataCatalog.get(name).set(truth=lambda: load_json(path), thing_classes=["class1", "class2"])
    instances = Instances((100, 100))
    instances.pred_boxes, instances.scores, instances.pred_classes = (
        Boxes(torch.tensor([[10.0, 10, 30, 30]])),
        torch.tensor([0.7]),
        torch.tensor([1]),
    )
    evaluator = BoxEvaluator(name, tmp_path / "out")
    evaluator.process([{"image_id": 0}], [{"instances": instances}])
    assert evaluator.evaluate()["AP50/class2"] == pytest.approx(100)
    assert json.loads((tmp_path / "out/coco_results.json").read_text())[0]["category_id"] == 2
    evaluator.reset()
    assert evaluator.evaluate()["AP50"] == 0
    MetadataCatalog.remove(name)
    assert name not in DatasetCatalog.list()


def test_results_are_appended_to_json_and_csv(tmp_path, monkeypatch):
    monkeypatch.setattr(networks, "machine", lambda: "GPU")
    record_results(tmp_path, {"teacher/some_val": {"AP": 1.5, "AP50/x": float("nan")}}, 10)
    record_results(tmp_path, {"student/some_val": {"AP": 2.0, "AP50/x": 3.0}}, 20)
    lines = [json.loads(line) for line in (tmp_path / "evaluation.json").read_text().splitlines()]
    assert lines[0] == {"iteration": 10, "model": "teacher", "dataset": "some_val", "AP": 1.5, "AP50/x": None, "machine": "GPU"}
    rows = (tmp_path / "evaluation.csv").read_text().splitlines()
    assert rows == [
        "iteration,model,dataset,AP,AP50/x,machine",
        "10,teacher,some_val,1.5,,GPU",
        "20,student,some_val,2.0,3.0,GPU",
    ]
