"""VOC's metrics against detectron2's evaluation of VOC's own files, and against a closed form."""

import numpy as np
import pytest
from detectron2.evaluation.pascal_voc_evaluation import voc_eval

from mic_det.errors import UserError
from mic_det.evaluation.coco import all_metrics
from mic_det.evaluation.matching import DUPLICATE, IGNORED, TRUE, WRONG, match_class
from mic_det.evaluation.voc import average_precision, voc_metrics

NAMES = ("cat", "dog")


def random_content(generator):
    """Integer boxes of two classes, some difficult, and detections near them, several on one object and some astray."""
    images = [{"id": i, "file_name": f"{i}.jpg", "height": 200, "width": 200} for i in range(1, 13)]
    annotations, detections = [], []
    for image in images:
        for _ in range(generator.integers(0, 5)):
            x, y, w, h = generator.integers(0, 120), generator.integers(0, 120), *generator.integers(15, 70, 2)
            category = int(generator.integers(1, 3))
            box = [int(x), int(y), int(w), int(h)]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image["id"],
                    "category_id": category,
                    "bbox": box,
                    "area": box[2] * box[3],
                    "iscrowd": 0,
                    "difficult": int(generator.random() < 0.2),
                }
            )
            for _ in range(generator.integers(0, 4)):
                shift = generator.integers(-12, 13, 4)
                moved = [max(int(a + b), 1) for a, b in zip(box, shift, strict=True)]
                detections.append(
                    {"image_id": image["id"], "category_id": category, "bbox": moved, "score": float(generator.random())}
                )
        detections.append({"image_id": image["id"], "category_id": 1, "bbox": [1, 1, 30, 30], "score": float(generator.random())})
    categories = [{"id": index, "name": name} for index, name in enumerate(NAMES, start=1)]
    return {"images": images, "annotations": annotations, "categories": categories}, detections


def write_voc_files(content, detections, folder):
    """The same content as VOC's XML files and one text file of detections per class, in 1-based inclusive pixels."""
    for image in content["images"]:
        objects = "".join(
            f"<object><name>{NAMES[a['category_id'] - 1]}</name><pose>x</pose><truncated>0</truncated>"
            f"<difficult>{a['difficult']}</difficult><bndbox><xmin>{a['bbox'][0] + 1}</xmin><ymin>{a['bbox'][1] + 1}</ymin>"
            f"<xmax>{a['bbox'][0] + a['bbox'][2]}</xmax><ymax>{a['bbox'][1] + a['bbox'][3]}</ymax></bndbox></object>"
            for a in content["annotations"]
            if a["image_id"] == image["id"]
        )
        (folder / f"{image['id']}.xml").write_text(f"<annotation>{objects}</annotation>")
    (folder / "set.txt").write_text("\n".join(str(image["id"]) for image in content["images"]))
    for index, name in enumerate(NAMES, start=1):
        lines = [
            f"{d['image_id']} {d['score']:.9f} {d['bbox'][0] + 1} {d['bbox'][1] + 1} {d['bbox'][0] + d['bbox'][2]} {d['bbox'][1] + d['bbox'][3]}"
            for d in detections
            if d["category_id"] == index
        ]
        (folder / f"det_{name}.txt").write_text("\n".join(lines))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("metric", ["voc07", "voc12"])
def test_equals_detectron2_on_vocs_own_files(tmp_path, seed, metric):
    content, detections = random_content(np.random.default_rng(seed))
    write_voc_files(content, detections, tmp_path)
    found = voc_metrics(content, detections, metric)
    for name in NAMES:
        _, _, expected = voc_eval(
            *(str(tmp_path / "det_{}.txt"), str(tmp_path / "{}.xml"), str(tmp_path / "set.txt"), name),
            ovthresh=0.5,
            use_07_metric=metric == "voc07",
        )
        assert found[f"{metric.upper()}/{name}"] == pytest.approx(100 * expected, abs=1e-6)
    assert found[metric.upper()] == pytest.approx(np.mean([found[f"{metric.upper()}/{name}"] for name in NAMES]))


def test_closed_form():
    """True, false, true of two objects: precision 1, 1/2, 2/3 at recall 1/2, 1/2, 1."""
    precision, recall = np.array([1, 1 / 2, 2 / 3]), np.array([0.5, 0.5, 1])
    assert average_precision(precision, recall, "voc12") == pytest.approx(0.5 + 0.5 * 2 / 3)
    assert average_precision(precision, recall, "voc07") == pytest.approx((6 * 1 + 5 * 2 / 3) / 11)


def annotation(index, box, **extra):
    return {"id": index, "image_id": 1, "category_id": 1, "bbox": box, **extra}


def test_kinds_and_counts():
    truth = [
        annotation(1, [0, 0, 20, 20]),
        annotation(2, [50, 50, 60, 60]),
        annotation(3, [150, 0, 40, 40], difficult=1),
        annotation(4, [0, 150, 200, 50]),
    ]
    boxes = [
        ([0, 0, 20, 20], 0.9),
        ([1, 0, 20, 20], 0.8),
        ([150, 0, 40, 40], 0.7),
        ([100, 0, 30, 30], 0.6),
        ([50, 50, 60, 60], 0.3),
    ]
    detections = [{"image_id": 1, "category_id": 1, "bbox": box, "score": score} for box, score in boxes]
    matches = match_class(truth, detections)
    assert matches.kinds.tolist() == [TRUE, DUPLICATE, IGNORED, WRONG, TRUE]
    assert matches.counts(0.5) == (1, 2, 2)
    assert matches.counts(0.2) == (2, 2, 1)
    assert [matches.counts(0.2, size) for size in ("small", "medium", "large")] == [(1, 2, 0), (1, 0, 0), (0, 0, 1)]


def test_classes_without_truth_and_without_detections():
    content = {
        "images": [{"id": 1, "height": 9, "width": 9}],
        "categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}],
        "annotations": [annotation(1, [0, 0, 5, 5])],
    }
    metrics = voc_metrics(content, [], "voc12")
    assert metrics["VOC12"] == metrics["VOC12/a"] == 0 and np.isnan(metrics["VOC12/b"])


def test_foreign_detections_and_unknown_metrics_are_named():
    content, detections = random_content(np.random.default_rng(0))
    with pytest.raises(UserError, match="image_id 99"):
        all_metrics(content, [{**detections[0], "image_id": 99}])
    with pytest.raises(UserError, match="category_id 7"):
        all_metrics(content, [{**detections[0], "category_id": 7}])
    with pytest.raises(UserError, match="'voc10' is not known; choose from voc07, voc12"):
        all_metrics(content, detections, ["voc10"])
    assert {"AP50", "VOC07", "VOC12/dog"} <= set(all_metrics(content, detections, ["voc07", "voc12"]))
