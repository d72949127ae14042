import numpy as np
import pytest
import torch
from detectron2.modeling import build_model

from mic_det.reporting import detection_pictures
from mic_det.reporting.drawing import denormalised, draw_boxes
from mic_det.reporting.embedding import embed_figure, embed_image, embed_picture
from mic_det.reporting.figures import confusion


def test_boxes_are_drawn_where_they_are():
    image = np.full((160, 320, 3), 128, np.uint8)
    drawn = draw_boxes(image, [[40, 40, 120, 120]], [0], ["car"], [0.5])
    assert drawn.shape == (320, 640, 3)
    changed = (drawn != 128).any(axis=2)
    assert changed[150:240, 80:84].any(axis=1).all(), "the left edge, at twice the size"
    assert not changed[:50].any() and not changed[300:].any() and (image == 128).all()


def test_degenerate_boxes_are_left_out():
    image = np.zeros((64, 640, 3), np.uint8)
    assert (draw_boxes(image, [[5, 5, 5, 9]], [0], ["car"]) == 0).all()
    assert (draw_boxes(image, np.zeros((0, 4)), [], ["car"]) == 0).all()


def test_lines_tell_right_from_wrong_and_missed():
    """The top edge, on its middle line: solid is whole, dashes are longer than dots."""
    image = np.full((160, 640, 3), 128, np.uint8)
    shares = {}
    for style in ("solid", "dashed", "dotted"):
        drawn = draw_boxes(image, [[40, 60, 600, 140]], [2], ["a", "b", "c"], verdicts=[("", style)])
        line = (drawn[140, 60:580] != 128).any(axis=1)
        shares[style] = line.mean(), np.diff(line.astype(int)).clip(0).sum()
    assert shares["solid"] == (1.0, 0) and 0.3 < shares["dashed"][0] < 1 and 0.3 < shares["dotted"][0] < 1
    assert 5 < shares["dashed"][1] < shares["dotted"][1]


def test_classes_keep_their_colours_whatever_is_said_of_them():
    image = np.full((160, 640, 3), 128, np.uint8)
    drawn = draw_boxes(image, [[40, 60, 600, 140]], [2], ["a", "b", "c"], verdicts=[("missed", "dotted")])
    assert (drawn == [0x00, 0x9E, 0x73]).all(axis=2).sum() > 100


def test_wide_pictures_are_shrunk_for_the_page():
    picture = embed_picture("a", np.zeros((100, 3200, 3), np.uint8))
    assert (picture.width, picture.height) == (1600, 50)


def test_figures_have_text_for_light_and_dark_pages():
    import base64
    from functools import partial

    plot = embed_figure(partial(confusion, [[3, 1], [0, 0]], ["car", "<b>"]), "Confusion")
    light, dark = (base64.b64decode(uri.split(",", 1)[1]).decode() for uri in (plot.light, plot.dark))
    assert ">75<" in light and ">car<" in light and "<b>" not in light
    assert "#1d2733" in light and "#e3e9f0" not in light and "#e3e9f0" in dark and "#1d2733" not in dark


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
