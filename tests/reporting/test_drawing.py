import numpy as np
import pytest
import torch
from detectron2.modeling import build_model

from mic_det.reporting import detection_pictures
from mic_det.reporting.drawing import denormalised, draw_boxes
from mic_det.reporting.report import embed_image


def test_boxes_are_drawn_where_they_are():
    image = np.full((160, 320, 3), 128, np.uint8)
    drawn = draw_boxes(image, [[40, 40, 120, 120]], [0], ["car"], [0.5])
    assert drawn.shape == (320, 640, 3)
    changed = (drawn != 128).any(axis=2)
    assert changed[150:240, 80:84].any(axis=1).all(), "the left edge, at twice the size"
    assert not changed[:60].any() and not changed[300:].any() and (image == 128).all()


def test_degenerate_boxes_are_left_out():
    image = np.zeros((64, 640, 3), np.uint8)
    assert (draw_boxes(image, [[5, 5, 5, 9]], [0], ["car"]) == 0).all()
    assert (draw_boxes(image, np.zeros((0, 4)), [], ["car"]) == 0).all()


def test_embedding_round_trip():
    import base64

    import cv2

    rows, columns = np.mgrid[0:64, 0:64]
    image = np.stack([4 * rows, 4 * columns, 255 - 2 * (rows + columns)], axis=2).astype(np.uint8)
    data = base64.b64decode(embed_image(image).split(",", 1)[1])
    decoded = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert np.abs(decoded.astype(int) - image).mean() < 8


@pytest.fixture
def model(tiny_cfg):
    torch.manual_seed(0)
    return build_model(tiny_cfg()).eval()


def test_denormalised_inverts_the_networks_preprocessing(model):
    image = torch.randint(0, 256, (3, 64, 128), dtype=torch.uint8)
    batch = model.student.preprocess_image([{"image": image}])
    found = denormalised(batch.tensor[0], model.student)
    assert np.abs(found.astype(int) - image.permute(1, 2, 0).numpy()).max() <= 1


def test_picture_rows(model, tiny_cfg):
    cfg = tiny_cfg()
    rows = detection_pictures.comparison(cfg, {"teacher": model.network("teacher")}, "toycity_val", count=2)
    assert len(rows) == 2 and [caption for caption, _ in rows[0]] == ["ground truth", "teacher"]
    views = detection_pictures.lessons(cfg, model, count=2)
    assert len(views) == 2 and "removed" in views[0][1][0]
    assert not np.array_equal(views[0][0][1], views[0][1][1])
    again = detection_pictures.lessons(cfg, model, count=2)
    assert all(
        np.array_equal(a[1], b[1]) for row, other in zip(views, again, strict=True) for a, b in zip(row, other, strict=True)
    )
