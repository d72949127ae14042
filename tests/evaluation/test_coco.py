import contextlib
import io
import json

import numpy as np
import pytest
import torch
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.structures import Boxes, Instances
from pycocotools import mask as mask_util
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from mic_det.data.coco import drop_faulty, load_json
from mic_det.errors import UserError
from mic_det.evaluation import BoxEvaluator, all_metrics, networks
from mic_det.evaluation.coco import coco_metrics
from mic_det.evaluation.networks import record_results
from mic_det.tasks import DetectionTask


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


PERFECT = [10.0, 10, 20, 20]
POLYGON = [[10, 10, 30, 10, 30, 30, 10, 30]]


def three_images(**fields):
    """One object in each of three images, with fields that may be a list of three; `...` leaves one out."""
    annotations = []
    for index in range(3):
        own = {name: value[index] if isinstance(value, tuple) else value for name, value in fields.items()}
        item = {"id": index + 1, "image_id": index + 1, "category_id": 1, "bbox": PERFECT, "area": 400, "iscrowd": 0, **own}
        annotations.append({name: value for name, value in item.items() if value is not ...})
    images = [{"id": index, "file_name": f"{index}.png", "width": 100, "height": 100} for index in (1, 2, 3)]
    return {"images": images, "categories": [{"id": 1, "name": "car"}], "annotations": annotations}


def perfect(content, **fields):
    return [
        {
            "image_id": image["id"],
            "category_id": content["categories"][0]["id"],
            "bbox": PERFECT,
            "score": 0.9 - index / 10,
            **fields,
        }
        for index, image in enumerate(content["images"])
    ]


@pytest.mark.parametrize(
    "fields",
    [
        {"id": (0, 1, 2)},
        {"id": 1},
        {"id": ...},
        {"id": "a"},
        {"id": None, "area": None, "iscrowd": None},
        {"area": ..., "iscrowd": ...},
        {"area": -5},
        {"area": 1e12},
        {"area": "large", "iscrowd": "0"},
    ],
)
def test_perfect_detections_are_perfect_whatever_the_ids_and_areas(fields, backend):
    content = drop_faulty(three_images(**fields), "odd")
    found = all_metrics(content, perfect(content), ("voc07", "voc12"))
    assert [found[name] for name in ("AP", "AP50", "VOC07", "VOC12")] == pytest.approx([100] * 4)
    one = all_metrics(content, perfect(content)[:1], ("voc12",))
    # COCO interpolates at 101 recalls, of which 0 to 0.33 are reached.
    assert one["AP50"] == pytest.approx(100 * 34 / 101) and one["VOC12"] == pytest.approx(100 / 3)


def test_ids_may_be_texts_or_of_both_kinds(backend):
    content = three_images(image_id=("x", 2, "10"), category_id="car")
    for image, number in zip(content["images"], ("x", 2, "10"), strict=True):
        image["id"] = number
    content["categories"] = [{"id": "car", "name": "car"}, {"id": 4, "name": "dog"}]
    found = all_metrics(content, perfect(content), ("voc12",))
    assert found["AP/car"] == pytest.approx(100) and np.isnan(found["AP/dog"]) and found["VOC12/car"] == pytest.approx(100)


def rle(height=100):
    bitmap = np.zeros((height, 100), np.uint8, order="F")
    bitmap[10:30, 10:30] = 1
    return mask_util.encode(bitmap)


@pytest.mark.parametrize(
    "masks",
    [
        (POLYGON,) * 3,
        (..., POLYGON, POLYGON),
        (POLYGON, POLYGON, ...),
        (POLYGON, [], None),
        (rle(), "odd", {"size": [100, 100], "counts": "P"}),
        ({"size": [100, 100], "counts": [1010, *[20, 80] * 19, 20, 7070]}, POLYGON, [[1, 2, 3, 4]]),
    ],
)
def test_objects_without_a_mask_are_ignored_in_mask_ap(masks, backend):
    content = three_images(segmentation=masks)
    found = all_metrics(content, perfect(content, segmentation=rle()))
    assert found["AP"] == pytest.approx(100) and found["mask_AP"] == pytest.approx(100)


def test_mask_ap_without_any_mask_is_not_a_number_and_said(backend, caplog, request):
    # Said once per process: of images with this test's name.
    own = request.node.name
    content = three_images(segmentation=[], image_id=own)
    content["images"] = [{**content["images"][0], "id": own}]
    with caplog.at_level("WARNING"):
        found = all_metrics(content, perfect(content, segmentation=rle()))
    assert found["AP"] == pytest.approx(100 * 34 / 101) and np.isnan(found["mask_AP"])
    assert "3 x object ignored in mask AP because it has no usable mask" in caplog.text and own in caplog.text
    assert "mask_AP" not in all_metrics(content, perfect(content))


def test_broken_masks_of_detections_are_named():
    content = three_images(segmentation=POLYGON)
    detections = perfect(content, segmentation=rle())
    del detections[1]["segmentation"]
    with pytest.raises(UserError, match=r"detections\[1\].segmentation: it has none"):
        all_metrics(content, detections)
    with pytest.raises(UserError, match=r"detections\[0\].segmentation: its size is \[90, 100\]"):
        all_metrics(content, perfect(content, segmentation=rle(90)))


def test_as_many_detections_count_as_the_detector_may_give(backend, caplog, request):
    """150 small objects in a row: with 100 detections, recall ends at 2/3."""
    boxes = [[5 * (index % 20), 5 * (index // 20), 4, 4] for index in range(150)]
    own = request.node.name
    annotations = [{"image_id": own, "category_id": 1, "bbox": box} for box in boxes]
    image = {"id": own, "file_name": "crowded.png", "width": 100, "height": 100}
    content = {"images": [image], "categories": [{"id": 1, "name": "car"}], "annotations": annotations}
    detections = [{**item, "score": 0.5} for item in annotations]
    with caplog.at_level("WARNING"):
        assert all_metrics(content, detections)["AP50"] == pytest.approx(100 * 67 / 101)
        assert all_metrics(content, detections, most=150)["AP50"] == pytest.approx(100)
        assert all_metrics(content, detections, most=-1)["AP50"] == pytest.approx(100)
    assert caplog.text.count(f"150 in image '{own}': raise TEST.DETECTIONS_PER_IMAGE") == 1


def test_the_config_says_how_many_detections_count(tiny_cfg):
    cfg = tiny_cfg("TEST.DETECTIONS_PER_IMAGE", 300)
    assert DetectionTask().evaluator(cfg, "toycity_val").most == 300
