"""What a file filled is what changed, and too little is refused."""

import pickle

import pytest
import torch
from detectron2.modeling import build_model

from mic_det.checkpoint import files
from mic_det.checkpoint.coverage import fill, part_of
from mic_det.checkpoint.weights import load_weights
from mic_det.errors import UserError


@pytest.fixture
def model(tiny_cfg):
    torch.manual_seed(0)
    return build_model(tiny_cfg())


def moved(network, prefix=""):
    """Entries of a state dict below `prefix`, all of them changed."""
    own = network.state_dict()
    return {name: value + 0.5 if value.is_floating_point() else value for name, value in own.items() if name.startswith(prefix)}


def test_filled_is_what_changed(model):
    state = {**moved(model.student, "backbone."), "roi_heads.box_head.fc1.bias": torch.zeros(3), "extra": torch.zeros(1)}
    before = {name: value.clone() for name, value in model.student.state_dict().items()}
    coverage = fill(model.student, state)
    changed = {name for name, value in model.student.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == coverage.filled and len(coverage.random) == len(coverage.own) - len(changed)
    assert coverage.mismatched == {"roi_heads.box_head.fc1.bias": ((3,), (32,))}
    counts = coverage.counts
    assert {part for part, (filled, count) in counts.items() if filled == count} == {"backbone", "FPN"}
    assert counts["RPN"][0] == counts["box head"][0] == counts["box classifier"][0] == 0
    assert "not used: extra" in coverage.table() and "(3,) in the file, (32,) here" in coverage.table()


def test_parts():
    names = (
        "backbone.bottom_up.stem.conv1.weight",
        "backbone.fpn_output2.bias",
        "roi_heads.mask_head.deconv.bias",
        "sem_seg_head.x",
    )
    assert [part_of(name, True) for name in names] == ["backbone", "FPN", "mask head", "decoder"]
    assert part_of("backbone.stages.0.x", False) == "backbone" and part_of("bottleneck.0.weight", False) == "bottleneck"


def test_another_depth_either_way_is_an_error(model, tiny_cfg, tmp_path):
    for depth, channels in ((50, 256), (34, 64)):
        other = build_model(tiny_cfg("MODEL.RESNETS.DEPTH", depth, "MODEL.RESNETS.RES2_OUT_CHANNELS", channels))
        torch.save({"model": other.student.state_dict()}, tmp_path / "deep.pth")
        with pytest.raises(UserError, match=r"deep\.pth does not fit the backbone FPN of ResNet.*MODEL\.RESNETS\.DEPTH"):
            load_weights(model, str(tmp_path / "deep.pth"))
    torch.save({"model": model.student.state_dict()}, tmp_path / "shallow.pth")
    with pytest.raises(UserError, match=r"shallow\.pth does not fit .*stay random"):
        load_weights(other, str(tmp_path / "shallow.pth"))
    load_weights(other, str(tmp_path / "shallow.pth"), partial=True)
    assert torch.equal(other.student.backbone.bottom_up.stem.conv1.weight, model.student.backbone.bottom_up.stem.conv1.weight)


def test_a_single_entry_is_an_error(model, tmp_path):
    torch.save({"model": moved(model.student, "backbone.bottom_up.stem.conv1.weight")}, tmp_path / "one.pth")
    with pytest.raises(UserError, match="stay random"):
        load_weights(model, str(tmp_path / "one.pth"))


def test_heads_of_other_classes_train_but_do_not_predict(model, tiny_cfg, tmp_path, caplog):
    torch.save({"model": build_model(tiny_cfg("MODEL.ROI_HEADS.NUM_CLASSES", 80)).student.state_dict()}, tmp_path / "80.pth")
    load_weights(model, str(tmp_path / "80.pth"))
    assert "other shape: roi_heads.box_predictor.cls_score.weight (81, 32) in the file, (9, 32) here" in caplog.text
    with pytest.raises(UserError, match=r"leaves parts of the network random: box classifier \(4 of 4\).*WEIGHTS_PARTIAL True"):
        load_weights(model, str(tmp_path / "80.pth"), complete=True)
    load_weights(model, str(tmp_path / "80.pth"), partial=True, complete=True)


def test_imagenet_weights_train_but_do_not_predict(model, tmp_path):
    """Caffe2's files fold the running statistics into the normalisation's weights, and keep their classifier."""
    own = moved(model.student.backbone.bottom_up)
    arrays = {name: value.numpy() for name, value in own.items() if "running" not in name}
    (tmp_path / "r18.pkl").write_bytes(
        pickle.dumps(
            {"model": {**arrays, "linear.weight": arrays["stem.conv1.weight"]}, "__author__": "x", "matching_heuristics": True}
        )
    )
    load_weights(model, str(tmp_path / "r18.pkl"))
    with pytest.raises(UserError, match=r"random: FPN .*RPN .*box head .*box classifier"):
        load_weights(model, str(tmp_path / "r18.pkl"), complete=True)


def test_a_whole_detector_predicts(model, tiny_cfg, tmp_path):
    other = build_model(tiny_cfg())
    torch.save(other.student.state_dict(), tmp_path / "whole.pth")
    load_weights(model, str(tmp_path / "whole.pth"), complete=True)
    files.save(tmp_path / "mic.pth", {"model": other.state_dict()})
    load_weights(model, str(tmp_path / "mic.pth"), complete=True)


def test_partial_weights_of_another_mic_checkpoint(model, tiny_cfg, tmp_path):
    other = build_model(tiny_cfg("MODEL.ROI_HEADS.NUM_CLASSES", 3))
    files.save(tmp_path / "mic.pth", {"model": other.state_dict()})
    with pytest.raises(UserError, match=r"does not fit the configured model: .*\(4, 32\) in the file, \(9, 32\) here"):
        load_weights(model, str(tmp_path / "mic.pth"))
    load_weights(model, str(tmp_path / "mic.pth"), partial=True)
    assert torch.equal(model.teacher.model.roi_heads.box_head.fc1.weight, other.teacher.model.roi_heads.box_head.fc1.weight)
