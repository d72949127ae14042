import pickle

import pytest
import torch
from detectron2.modeling import build_model

from mic_det.checkpoint import files, weights
from mic_det.errors import UserError


@pytest.fixture
def model(tiny_cfg):
    torch.manual_seed(0)
    return build_model(tiny_cfg())


@pytest.fixture
def other(tiny_cfg):
    torch.manual_seed(1)
    return build_model(tiny_cfg())


def same(left, right):
    return all(torch.equal(value, right.state_dict()[name]) for name, value in left.state_dict().items())


def test_a_plain_detectron2_checkpoint_fills_student_and_teacher(model, other, tmp_path):
    torch.save({"model": other.student.state_dict()}, tmp_path / "plain.pth")
    weights.load_weights(model, str(tmp_path / "plain.pth"))
    assert same(model.student, other.student) and same(model.teacher.model, other.student)


def test_a_pickled_backbone_in_detectron2_naming(model, other, tmp_path):
    """Like the model zoo's .pkl files: numpy arrays, names without the `backbone.` prefix, no heads."""
    arrays = {name: value.numpy() for name, value in other.student.backbone.bottom_up.state_dict().items()}
    (tmp_path / "r18.pkl").write_bytes(pickle.dumps({"model": arrays, "__author__": "test", "matching_heuristics": True}))
    weights.load_weights(model, str(tmp_path / "r18.pkl"))
    assert same(model.student.backbone.bottom_up, other.student.backbone.bottom_up)
    assert same(model.teacher.model, model.student)
    assert not same(model.student.roi_heads, other.student.roi_heads)


def test_a_mic_checkpoint_keeps_student_and_teacher_apart(model, other, tmp_path):
    with torch.no_grad():
        next(other.teacher.parameters()).add_(1)
    files.save(tmp_path / "mic.pth", {"model": other.state_dict()})
    weights.load_weights(model, str(tmp_path / "mic.pth"))
    assert same(model, other) and not same(model.teacher.model, model.student)


def test_random_weights_stay(model):
    before = {name: value.clone() for name, value in model.state_dict().items()}
    weights.load_weights(model, "")
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_a_backbone_that_matches_nothing_is_an_error(model, tmp_path):
    torch.save({"model": {"encoder.layer.weight": torch.zeros(3)}}, tmp_path / "foreign.pth")
    with pytest.raises(UserError, match=r"foreign\.pth holds no weight of the backbone FPN"):
        weights.load_weights(model, str(tmp_path / "foreign.pth"))


def test_another_architecture_is_named(model, tiny_cfg, tmp_path):
    torch.manual_seed(0)
    narrow = build_model(tiny_cfg("MODEL.ROI_BOX_HEAD.FC_DIM", 16))
    files.save(tmp_path / "narrow.pth", {"model": narrow.state_dict()})
    with pytest.raises(UserError, match=r"does not fit the configured model: \d+ entries differ, e\.g\. student\.roi_heads"):
        weights.load_weights(model, str(tmp_path / "narrow.pth"))


def test_missing_weights_name_file_source_and_key(model, tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"MODEL\.WEIGHTS: gone\.pth does not exist"):
        weights.load_weights(model, "gone.pth")
    monkeypatch.setenv("FVCORE_CACHE", str(tmp_path))
    with pytest.raises(
        UserError,
        match=r"--download to fetch it from https://dl\.fbaipublicfiles\.com/detectron2/ImageNetPretrained/MSRA/R-50\.pkl",
    ):
        weights.load_weights(model, "detectron2://ImageNetPretrained/MSRA/R-50.pkl")


def test_a_failed_download_is_one_sentence(model, tmp_path, monkeypatch):
    monkeypatch.setenv("FVCORE_CACHE", str(tmp_path))
    with pytest.raises(UserError, match="could not be fetched"):
        weights.load_weights(model, "http://127.0.0.1:9/x.pkl", download=True)


def test_domain_classifiers_are_optional_in_initial_weights(tiny_cfg, tmp_path):
    torch.manual_seed(0)
    with_alignment, without = build_model(tiny_cfg(name="toycity")), build_model(tiny_cfg())
    files.save(tmp_path / "with.pth", {"model": with_alignment.state_dict()})
    files.save(tmp_path / "without.pth", {"model": without.state_dict()})
    weights.load_weights(without, str(tmp_path / "with.pth"))
    assert same(without.student, with_alignment.student)
    own = build_model(tiny_cfg(name="toycity"))
    before = {name: value.clone() for name, value in own.alignment.state_dict().items()}
    with torch.no_grad():
        next(without.student.parameters()).add_(1)
    files.save(tmp_path / "without.pth", {"model": without.state_dict()})
    weights.load_weights(own, str(tmp_path / "without.pth"))
    assert same(own.student, without.student)
    assert all(torch.equal(before[name], value) for name, value in own.alignment.state_dict().items())
