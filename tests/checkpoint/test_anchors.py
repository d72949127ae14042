"""The anchors of published and foreign weight files: kept, compared, never dropped without a word."""

import pytest
import torch
from detectron2.modeling import build_model

import mic_det
from mic_det.checkpoint import conversion
from mic_det.checkpoint.weights import load_weights
from mic_det.errors import UserError
from tests.checkpoint.test_conversion import R50
from tests.conftest import REPOSITORY, run_script

# Inclusive corners at strides 4 to 64: centred at (stride - 1) / 2, widths and heights of ratios 0.5, 1 and 2.
SHAPES = [
    *([(48, 24), (32, 32), (24, 48)], [(88, 48), (64, 64), (48, 96)], [(184, 96), (128, 128), (88, 176)]),
    *([(360, 176), (256, 256), (184, 368)], [(728, 368), (512, 512), (360, 720)]),
]


def published_tables(shapes=SHAPES):
    tables = {}
    for level, shapes_of_level in enumerate(shapes):
        middle = (4 * 2**level - 1) / 2
        corners = [
            [middle - (w - 1) / 2, middle - (h - 1) / 2, middle + (w - 1) / 2, middle + (h - 1) / 2] for w, h in shapes_of_level
        ]
        tables[f"rpn.anchor_generator.cell_anchors.{level}"] = torch.tensor(corners)
    return tables


def config(name="cs2foggy_reference", *overrides):
    return mic_det.load_config(name, [*R50, *overrides])


@pytest.fixture(scope="module")
def legacy():
    torch.manual_seed(0)
    return build_model(config()).eval()


@pytest.fixture
def published(legacy, tmp_path):
    """A published file with the detector's weights and tables that were written out here."""
    torch.save({"model": legacy.state_dict()}, tmp_path / "own.pth")
    state = conversion.published_checkpoint(tmp_path / "own.pth", "student")
    tables = published_tables()
    for name, table in tables.items():
        assert torch.equal(state[name], table), name
    torch.save({"model": {f"module.{name}": value for name, value in {**state, **tables}.items()}}, tmp_path / "published.pth")
    return tmp_path / "published.pth"


def test_the_command_keeps_the_anchors_and_writes_a_config_that_fits(legacy, published, tmp_path):
    """Even when the config that is given lacks LEGACY_BOXES."""
    options = ("--config-file", REPOSITORY / "configs/cs2foggy.yaml", *R50)
    run = run_script("tools/convert_checkpoint.py", published, tmp_path / "mic.pth", *options)
    assert "mic.yaml" in run.stdout
    cfg = mic_det.load_config(tmp_path / "mic.yaml")
    assert cfg.MODEL.MIC.REFERENCE.LEGACY_BOXES and str(tmp_path / "mic.pth") == cfg.MODEL.WEIGHTS
    again = build_model(cfg).eval()
    load_weights(again, cfg.MODEL.WEIGHTS)
    inputs = [{"image": torch.randint(0, 256, (3, 70, 100), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))}]
    images = legacy.student.preprocess_image(inputs)
    with torch.no_grad():
        features = legacy.student.backbone(images.tensor)
        (own,), _ = legacy.student.proposal_generator(images, features)
        (found,), _ = again.teacher.model.proposal_generator(images, again.teacher.model.backbone(images.tensor))
    torch.testing.assert_close(found.proposal_boxes.tensor, own.proposal_boxes.tensor, rtol=1e-4, atol=1e-2)


def test_a_config_with_other_anchors_is_refused(published, tmp_path):
    torch.save({"model": conversion.mic_checkpoint(published)}, tmp_path / "mic.pth")
    with pytest.raises(UserError, match=r"does not fit .*anchor_generator\.cell_anchors") as caught:
        load_weights(build_model(config("cs2foggy")), str(tmp_path / "mic.pth"))
    assert "10 entries" in str(caught.value)


def test_the_shapes_come_from_the_file(published, tmp_path):
    """A checkpoint that was trained with other anchors keeps them."""
    state = torch.load(published, weights_only=True)["model"]
    wider = [[(2 * w, h) for w, h in level] for level in SHAPES]
    state |= {f"module.{name}": table for name, table in published_tables(wider).items()}
    torch.save({"model": state}, published)
    torch.save({"model": conversion.mic_checkpoint(published)}, tmp_path / "mic.pth")
    model = build_model(config())
    load_weights(model, str(tmp_path / "mic.pth"))
    for network in (model.student, model.teacher.model):
        tables = list(network.proposal_generator.anchor_generator.cell_anchors)
        assert [[(w, h) for w, h in (table[:, 2:] - table[:, :2]).tolist()] for table in tables] == wider


def test_anchors_that_detectron2_would_drop_are_named(published, tmp_path, caplog):
    torch.save({"model": conversion.plain_checkpoint(published, "student")}, tmp_path / "plain.pth")
    with caplog.at_level("WARNING", logger="mic_det"):
        load_weights(build_model(config("cs2foggy")), str(tmp_path / "plain.pth"))
    assert "anchors differ from the configured ones at 5 of 5 levels" in caplog.text and "LEGACY_BOXES True" in caplog.text
    caplog.clear()
    load_weights(build_model(config()), str(tmp_path / "plain.pth"))
    assert "anchors differ" not in caplog.text


def test_equal_anchors_of_an_old_detectron2_file_are_no_news(tmp_path, caplog):
    model = build_model(config("cs2foggy_mic"))
    tables = dict(model.student.proposal_generator.anchor_generator.cell_anchors.named_buffers())
    anchors = {f"proposal_generator.anchor_generator.cell_anchors.{level}": table for level, table in tables.items()}
    torch.save({"model": {**model.student.state_dict(), **anchors}}, tmp_path / "plain.pth")
    load_weights(model, str(tmp_path / "plain.pth"))
    assert "anchors differ" not in caplog.text


def test_exact_anchors_cannot_go_to_the_published_code_without_a_word(tmp_path, caplog):
    torch.save({"model": build_model(config("cs2foggy")).state_dict()}, tmp_path / "mic.pth")
    conversion.published_checkpoint(tmp_path / "mic.pth", "student")
    assert "trained without MODEL.MIC.REFERENCE.LEGACY_BOXES" in caplog.text


def test_stock_detectron2_has_no_legacy_boxes():
    with pytest.raises(UserError, match="Stock detectron2 has neither the anchors nor the pooling"):
        conversion.stock_config(config(), "x.pth")
