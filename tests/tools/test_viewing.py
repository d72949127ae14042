"""Looking at pseudo-labels and errors: the gallery, TensorBoard and the evaluation of a results file."""

import json
import re

import cv2
import numpy as np
import pytest
import torch
from detectron2.modeling import build_model
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from mic_det.checkpoint import files
from mic_det.engine import AdaptationTrainer
from mic_det.reporting import errors
from mic_det.reporting.detection_gallery import diagnosis
from tests.conftest import REPOSITORY, TINY, run_script


@pytest.fixture
def weights(tiny_cfg, tmp_path):
    torch.manual_seed(0)
    files.save(tmp_path / "mic.pth", {"model": build_model(tiny_cfg(name="toycity")).state_dict()})
    return tmp_path / "mic.pth"


def gallery(*arguments, weights, output, check=True):
    return run_script(
        *("tools/view_pseudo_labels.py", "--config-file", REPOSITORY / "configs/toycity.yaml", *arguments, "--count", 3),
        *("--output", output, *TINY, "MODEL.WEIGHTS", weights),
        check=check,
    )


def test_gallery_of_an_unlabelled_folder(toycity, weights, tmp_path):
    for index in range(3):
        cv2.imwrite(str(tmp_path / f"{index}.png"), np.full((60, 100, 3), 80 * index, np.uint8))
    (tmp_path / "1.png").write_bytes(b"no image")
    run = gallery("--input", tmp_path, weights=weights, output=tmp_path / "g.html", check=False)
    assert run.returncode == 1  # a file was unreadable, the rest is there
    page = (tmp_path / "g.html").read_text()
    assert page.count("what the student sees") == 2 * 2 and "uses target labels" not in page  # alt text and caption
    assert "unreadable" in run.stdout and "1.png" in run.stdout


def test_a_checkpoint_is_needed(toycity, tmp_path):
    run = gallery("--input", toycity / "toycity/leftImg8bit/val", weights="", output=tmp_path / "g.html", check=False)
    assert run.returncode == 1 and "MODEL.WEIGHTS is empty: name a trained checkpoint" in run.stderr


def test_gallery_with_truth_says_that_it_uses_labels(toycity, weights, tmp_path):
    gallery("--truth", "toycity_foggy_all_val", weights=weights, output=tmp_path / "g.html")
    page = (tmp_path / "g.html").read_text()
    assert page.count("diagnostic: uses target labels") >= 4
    assert len(re.findall(r"\d+ right, \d+ missed, \d+ wrong", page)) == 2 * 3
    assert "<th>threshold</th>" in page
    wrong = gallery("--truth", "camvid_day_val", weights=weights, output=tmp_path / "h.html", check=False)
    assert wrong.returncode == 1 and "mic-det prepare camvid" in wrong.stderr


def test_diagnosis_counts_by_hand(tiny_cfg):
    from detectron2.structures import Boxes, Instances

    from mic_det.adaptation import PseudoBoxes

    record = {"image_id": 1, "width": 256, "height": 128}  # the truth is at twice the network's size
    truth = [
        {"id": 1, "image_id": 1, "category_id": 3, "bbox": [20, 20, 60, 60]},
        {"id": 2, "image_id": 1, "category_id": 3, "bbox": [160, 20, 60, 60]},
        {"id": 3, "image_id": 1, "category_id": 1, "bbox": [20, 20, 60, 60]},
        {"id": 4, "image_id": 2, "category_id": 1, "bbox": [20, 20, 60, 60]},
    ]
    categories = [{"id": index, "name": str(index)} for index in (1, 2, 3)]
    content = {"images": [{"id": 1}, {"id": 2}], "annotations": truth, "categories": categories}
    instances = Instances((64, 128))
    instances.gt_boxes = Boxes(torch.tensor([[10.0, 10, 40, 40], [80, 40, 120, 60]]))
    instances.gt_classes, instances.gt_scores = torch.tensor([2, 2]), torch.tensor([0.9, 0.8])
    sample = {"image": torch.zeros(3, 64, 128, dtype=torch.uint8)}
    caption, picture = diagnosis(tiny_cfg(), record, sample, PseudoBoxes(instances, Boxes(torch.zeros(0, 4))), content)
    assert caption.startswith("1 right, 2 missed, 1 wrong") and picture.std() > 5


def test_pictures_reach_tensorboard_and_change_no_number(tiny_cfg, tmp_path):
    runs = []
    for period in (0, 2):
        folder = tmp_path / str(period)
        folder.mkdir()
        cfg = tiny_cfg("LOG.PICTURE_PERIOD", period, "SOLVER.MAX_ITER", 4, "OUTPUT_DIR", str(folder), "DATASETS.TEST", ())
        trainer = AdaptationTrainer(cfg)
        trainer.train()
        runs.append(trainer.core.state_dict())
        events = EventAccumulator(str(folder), size_guidance={"images": 0}).Reload()
        steps = [event.step for event in events.Images("pseudo_labels/0")] if period else events.Tags()["images"]
        assert len(steps) == (2 if period else 0)
    assert all(torch.equal(value, runs[1][name]) for name, value in runs[0].items())


def test_evaluation_of_a_results_file(toycity, tmp_path):
    truth = json.loads((toycity / "toycity/annotations/instances_val.json").read_text())
    keys = ("image_id", "category_id", "bbox")
    perfect = [{**{key: item[key] for key in keys}, "score": 0.9} for item in truth["annotations"]]
    (tmp_path / "found.json").write_text(json.dumps(perfect[1:]))
    run = run_script(
        *("tools/evaluate.py", "--dataset", "toycity_val", "--detections", tmp_path / "found.json", "--voc", "voc07", "voc12"),
        *("--report", tmp_path / "errors.html"),
    )
    first = [float(cell) for cell in run.stdout.splitlines()[2].strip("| ").split("|")]
    assert all(80 < value <= 100 for value in first) and "VOC12" in run.stdout
    page = (tmp_path / "errors.html").read_text()
    assert f"<td>{len(perfect) - 1}</td><td>0</td><td>1</td>" in page  # all classes: right, wrong, missed
    (tmp_path / "bad.json").write_text('{"boxes": []}')
    bad = run_script("tools/evaluate.py", "--dataset", "toycity_val", "--detections", tmp_path / "bad.json", check=False)
    assert bad.returncode == 1 and "must be a list of entries with bbox, category_id, image_id, score" in bad.stderr


def test_tables_by_score_and_size_by_hand():
    from mic_det.evaluation.matching import match_class

    truth = [{"id": 1, "image_id": 1, "bbox": [0, 0, 20, 20]}, {"id": 2, "image_id": 1, "bbox": [50, 50, 50, 50]}]
    boxes = [([0, 0, 20, 20], 0.95), ([0, 0, 20, 20], 0.92), ([50, 0, 10, 10], 0.31)]
    matches = {"cat": match_class(truth, [{"image_id": 1, "bbox": box, "score": score} for box, score in boxes])}
    assert errors.by_class(matches, 0.5)[1] == ["cat", 1, 1, 1, "0.50", "0.50"]
    assert [row[:4] for row in errors.by_size(matches, 0.3)[1:]] == [["small", 1, 2, 0], ["medium", 0, 0, 1], ["large", 0, 0, 0]]
    table = {row[0]: row[1:] for row in errors.by_score(matches)[1:]}
    assert table["0.9 to 1.0"] == [1, 1, 0, "0.50"] and table["0.3 to 0.4"] == [0, 0, 1, "0.00"]
    assert errors.by_class_and_threshold(matches, (0.3, 0.93))[1] == ["cat", "0.33 / 0.50", "1.00 / 0.50"]
    assert errors.by_threshold(matches, (0.3, 0.93))[2] == ["0.93", 1, 0, 1, "1.00", "0.50"]
