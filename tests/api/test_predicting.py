"""Every kind of input gives the same answer, and every kind of result holds it."""

import sys
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

import mic_det
from mic_det.api.results import Result
from mic_det.errors import UserError


@pytest.fixture(scope="module")
def model(detector):
    return mic_det.load(detector / "plain.pth", config=detector / "plain.yaml", device="cpu")


@pytest.fixture(scope="module")
def picture():
    return np.random.default_rng(0).integers(0, 256, (60, 100, 3), dtype=np.uint8)


def same(found, expected):
    assert torch.equal(found.instances.pred_boxes.tensor, expected.instances.pred_boxes.tensor)
    assert torch.equal(found.instances.scores, expected.instances.scores)


def test_all_inputs_give_one_answer(model, picture, tmp_path):
    expected = model.predict(picture, min_score=0.05)
    assert len(expected.instances)
    for name in ("b.png", "a.png"):
        Image.fromarray(picture).save(tmp_path / name)
    tensor = torch.from_numpy(picture).permute(2, 0, 1)
    for single in (Image.fromarray(picture), tensor, tensor / 255, tmp_path / "a.png", str(tmp_path / "a.png")):
        same(model.predict(single, min_score=0.05), expected)
    listed = model.predict([picture, tmp_path / "a.png"], min_score=0.05)
    assert isinstance(listed, list) and len(listed) == 2
    folder = list(model.predict(tmp_path, min_score=0.05))
    assert [result.name for result in folder] == [str(tmp_path / "a.png"), str(tmp_path / "b.png")]
    for result in [*listed, *folder]:
        same(result, expected)


def test_a_video_is_read_frame_by_frame(model, tmp_path):
    path = tmp_path / "clip.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 5, (96, 64))
    for grey in (0, 100, 200):
        writer.write(np.full((64, 96, 3), grey, np.uint8))
    writer.release()
    found = list(model.predict(path))
    assert [result.name for result in found] == [f"{path}#{number}" for number in range(3)]
    assert found[0].image.mean() < 20 < found[1].image.mean() < found[2].image.mean()


def test_scores_below_the_least_are_left_out(model, picture):
    everything = model.predict(picture, min_score=0).instances
    limit = float(everything.scores.median())
    found = model.predict(picture, min_score=limit).instances
    assert 0 < len(found) < len(everything) and torch.equal(found.scores, everything.scores[everything.scores >= limit])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (np.zeros((4, 4), np.uint8), "HxWx3 uint8"),
        (np.zeros((4, 4, 3)), "HxWx3 uint8 in RGB, but is float64"),
        (torch.zeros(4, 4, 3), "3xHxW"),
        (torch.full((3, 4, 4), 7.0), "floats from 0 to 1"),
        ("nowhere.png", "nowhere.png does not exist"),
        ([3], "int cannot be predicted on"),
    ],
)
def test_what_is_no_image_is_refused(model, wrong, message):
    with pytest.raises(UserError, match=message):
        model.predict(wrong)


def test_results_as_coco_and_supervision(model, picture):
    result = model.predict(picture, min_score=0.05)
    boxes = result.instances.pred_boxes.tensor.numpy()
    coco = result.to_coco(image_id=7)
    assert np.allclose([item["bbox"][2:] for item in coco], boxes[:, 2:] - boxes[:, :2], atol=1e-3)
    assert {item["image_id"] for item in coco} == {7}
    supervision = pytest.importorskip("supervision")
    found = result.to_supervision()
    assert isinstance(found, supervision.Detections) and np.array_equal(found.xyxy, boxes)
    assert list(found.data["class_name"]) == [result.classes[index] for index in result.instances.pred_classes]
    assert result.draw().shape[2] == 3


def test_other_tasks_as_supervision():
    supervision = pytest.importorskip("supervision")
    image = np.zeros((4, 6, 3), np.uint8)
    pixels = torch.zeros(3, 4, 6)
    pixels[0] = 0.5
    pixels[2, 1:3, 2:5] = 1
    found = Result(image, ["a", "b", "c"], sem_seg=pixels).to_supervision()
    assert found.class_id.tolist() == [0, 2] and found.xyxy.tolist() == [[0, 0, 6, 4], [2, 1, 5, 3]]
    classified = Result(image, ["a", "b"], scores=torch.tensor([0.3, 0.7]))
    assert isinstance(classified.to_supervision(), supervision.Classifications)
    with pytest.raises(UserError, match="for detections"):
        classified.to_coco()


def test_results_as_fiftyone(model, picture, monkeypatch):
    names = ("Detection", "Detections", "Segmentation", "Classification")
    fake = SimpleNamespace(**{name: (lambda kind: lambda **values: (kind, values))(name) for name in names})
    monkeypatch.setitem(sys.modules, "fiftyone", fake)
    result = model.predict(picture, min_score=0.05)
    kind, values = result.to_fiftyone()
    left, top, width, height = values["detections"][0][1]["bounding_box"]
    expected = result.instances.pred_boxes.tensor[0] / torch.tensor([100, 60, 100, 60])
    assert kind == "Detections" and np.allclose([left, top, left + width, top + height], expected, atol=1e-5)
    classified = Result(picture, ["a", "b"], scores=torch.tensor([0.3, 0.7])).to_fiftyone()
    assert classified == ("Classification", {"label": "b", "confidence": pytest.approx(0.7)})


@pytest.mark.parametrize("name", ["supervision", "fiftyone"])
def test_missing_extras_are_a_sentence(model, picture, monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UserError, match=f"pip install {name}"):
        getattr(model.predict(picture), f"to_{name}")()


def test_a_folder_without_weights_and_weights_without_config_are_sentences(detector, tmp_path):
    with pytest.raises(UserError, match="holds no run"):
        mic_det.load(tmp_path)
    with pytest.raises(UserError, match=r"There is no .*config\.yaml"):
        mic_det.load(detector / "plain.pth")
    with pytest.raises(UserError, match=r"There is no .*nowhere\.pth"):
        mic_det.load(detector / "nowhere.pth")
