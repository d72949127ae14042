"""A file gives the same answer in a folder that is predicted on as in evaluation, whatever its kind."""

import csv
import json

import cv2
import numpy as np
import pytest
import torch
from detectron2.data import DatasetMapper
from detectron2.evaluation.coco_evaluation import instances_to_coco_json
from detectron2.modeling import build_model
from PIL import Image

from mic_det.data.catalog import load_labelled
from mic_det.data.detection_mapper import TestMapper, TrainingMapper
from mic_det.data.images import read_image
from mic_det.evaluation.networks import SurvivingMapper
from mic_det.inference import predict_boxes, predict_classes, predict_labels
from mic_det.reporting.contact_sheet import tile
from mic_det.tasks import task_of
from tests.data.image_files import exif, write_tiff


@pytest.fixture
def folder(tmp_path):
    """A street as a sideways photo, as thermal and float images, and three files that cannot be predicted on."""
    rng = np.random.default_rng(0)
    street = cv2.GaussianBlur(rng.integers(0, 256, (60, 100, 3), dtype=np.uint8), (0, 0), 4)
    place = tmp_path / "photos"
    place.mkdir()
    Image.fromarray(street).save(place / "sideways.jpg", exif=exif(6))
    Image.fromarray(street).save(place / "plain.png")
    Image.fromarray(street[..., 0].astype(np.uint16)).save(place / "thermal.png")
    write_tiff(place / "float.tif", street.astype(np.float32))
    Image.new("RGB", (4000, 1)).save(place / "line.png")
    (place / "broken.png").write_bytes(b"no picture")
    (place / "gone.png").symlink_to(tmp_path / "nowhere.png")
    return place


GOOD, BAD = ("float.tif", "plain.png", "sideways.jpg", "thermal.png"), ("broken.png", "gone.png", "line.png")


def evaluated(cfg, model, folder):
    """(file name, sample, answer) of the good files as evaluation sees them, after it survived the bad ones."""
    mapper = SurvivingMapper(task_of(cfg).test_mapper(cfg))
    for index, name in enumerate(sorted(GOOD + BAD)):
        sample = mapper({"file_name": str(folder / name), "image_id": index, "label": 0})
        assert ("unreadable" in sample) == (name in BAD), name
        if name in GOOD:
            with torch.inference_mode():
                yield name, sample, model([sample])[0]


@pytest.mark.parametrize("order", ["BGR", "RGB"])
def test_detections(folder, tiny_cfg, tmp_path, order):
    cfg = tiny_cfg("INPUT.FORMAT", order, "INPUT.RANGE", (20, 200), "MODEL.ROI_HEADS.SCORE_THRESH_TEST", 0.0)
    torch.manual_seed(0)
    model = build_model(cfg).eval()
    count, unreadable = predict_boxes(cfg, model, folder, tmp_path / "out")
    assert count == len(GOOD) and [name for name in BAD for line in unreadable if name in line] == list(BAD)
    names = {image["id"]: image["file_name"] for image in json.loads((tmp_path / "out/images.json").read_text())["images"]}
    detections = json.loads((tmp_path / "out/detections.json").read_text())
    for name, _, answer in evaluated(cfg, model, folder):
        found = [item for item in detections if names[item["image_id"]].endswith(name)]
        right = instances_to_coco_json(answer["instances"], 0)
        assert len(right) > 5 and [item["bbox"] for item in found] == [item["bbox"] for item in right], name
        assert [item["score"] for item in found] == [item["score"] for item in right]


def test_labels_of_pixels(folder, tiny_seg_cfg, tmp_path):
    cfg = tiny_seg_cfg("INPUT.RANGE", (20, 200))
    torch.manual_seed(0)
    model = build_model(cfg).eval()
    (folder / "line.png").write_bytes(b"")  # what has no height left depends on the sizes
    count, unreadable = predict_labels(cfg, model, folder, tmp_path / "out")
    assert count == len(GOOD) and len(unreadable) == len(BAD)
    for name, _, answer in evaluated(cfg, model, folder):
        written = (tmp_path / "out/train_ids" / name).with_suffix(".png")
        found = cv2.imread(str(written), cv2.IMREAD_UNCHANGED)
        assert np.array_equal(found, answer["sem_seg"].argmax(dim=0).byte().numpy()), name


def test_classes(folder, tiny_cls_cfg, tmp_path):
    cfg = tiny_cls_cfg("INPUT.RANGE", ("min", "max"))
    torch.manual_seed(0)
    model = build_model(cfg).eval()
    (folder / "line.png").write_bytes(b"")  # any image can be squeezed into a square
    count, unreadable = predict_classes(cfg, model, folder, tmp_path / "out")
    assert count == len(GOOD) and len(unreadable) == len(BAD)
    rows = {row["file"]: row for row in csv.DictReader((tmp_path / "out/predictions.csv").open())}
    for name, _, answer in evaluated(cfg, model, folder):
        assert rows[str(folder / name)]["score 1"] == f"{float(answer['scores'].max()):.4f}", name


def test_detectors_see_what_detectron2s_own_mapper_gave_them(tiny_cfg):
    for options in ((), ("INPUT.FORMAT", "RGB", "INPUT.MIN_SIZE_TEST", 0), ("INPUT.MAX_SIZE_TEST", 100)):
        cfg, record = tiny_cfg(*options), load_labelled("toycity_val")[0]
        found, right = TestMapper(cfg)(record), DatasetMapper(cfg, is_train=False)(record)
        assert found.keys() == right.keys() and torch.equal(found["image"], right["image"]) and "annotations" in record
        assert all(found[key] == right[key] for key in right if key != "image")


def test_training_and_pictures_see_the_thermal_image_too(folder, tiny_cfg):
    cfg = tiny_cfg("INPUT.RANGE", (20, 200), "INPUT.RANDOM_FLIP", "none", "INPUT.MIN_SIZE_TRAIN", (60,))
    record = {"file_name": str(folder / "thermal.png"), "image_id": 0}
    right = read_image(folder / "thermal.png", "BGR", (20, 200))
    assert np.array_equal(TrainingMapper(cfg, labelled=False)(record)["image"].permute(1, 2, 0).numpy(), right)
    assert 64 < right.mean() < 192 and abs(tile(record, [], (20, 200)).mean() - right.mean()) < 2
    assert tile({"file_name": str(folder / "line.png")}, []).shape == (1, 320, 3)
    assert (tile({"file_name": str(folder / "broken.png")}, []) == 128).all()
