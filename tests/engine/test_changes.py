"""What a run may change when it goes on, and what it may not."""

import pytest

from mic_det.engine import changes
from mic_det.errors import UserError

DECLARED = {"name": "mine", "format": "coco", "images": "here", "annotations": "here.json", "classes": ["car", "person"]}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("SOLVER.BASE_LR", 0.5),
        ("SOLVER.MAX_ITER", 999),
        ("SOLVER.ACCUMULATE", 2),
        ("SOLVER.LR_SCHEDULER_NAME", "WarmupPolyLR"),
        ("MODEL.DEVICE", "cuda"),
        ("MODEL.MIC.MASK.RATIO", 0.7),
        ("MODEL.MIC.TEACHER.ALPHA", 0.5),
        ("MODEL.ROI_HEADS.SCORE_THRESH_TEST", 0.3),
        ("TEST.EVAL_PERIOD", 7),
        ("DATASETS.TEST", ()),
        ("DATALOADER.NUM_WORKERS", 3),
        ("INPUT.MIN_SIZE_TRAIN", (32,)),
        ("OUTPUT_DIR", "elsewhere"),
        ("MODEL.WEIGHTS", "other.pth"),
    ],
)
def test_what_may_change(tiny_cfg, key, value):
    found = changes.check_changes(tiny_cfg(key, value), tiny_cfg())
    assert list(found) == ([key] if key != "OUTPUT_DIR" else [])


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("SOLVER.OPTIMIZER", "SGD"),
        ("SOLVER.IMS_PER_BATCH", 4),
        ("SOLVER.TARGET_IMS_PER_BATCH", 4),
        ("SEED", 4),
        ("MODEL.RESNETS.DEPTH", 34),
        ("MODEL.ROI_HEADS.NUM_CLASSES", 3),
        ("MODEL.PIXEL_MEAN", [1.0, 2.0, 3.0]),
        ("MODEL.MIC.ALIGN.ENABLED", True),
        ("MODEL.MIC.ADVERSARIAL.WEIGHT", 0.001),
        ("MODEL.MIC.MASK.TEACHER_ALPHA", 0.9),
        ("DATASETS.TRAIN", ("toycity_val",)),
        ("DATASETS.TARGET", ()),
        ("INPUT.FORMAT", "RGB"),
    ],
)
def test_what_may_not(tiny_cfg, key, value):
    former = tiny_cfg()
    assert changes.plain(changes.value_of(former, key)) != changes.plain(value)
    with pytest.raises(UserError, match=rf"--resume: .*{key} from .* to .*MODEL\.WEIGHTS set to"):
        changes.check_changes(tiny_cfg(key, value), former)


def test_a_weight_may_change_while_its_part_is_there(tiny_cfg):
    key = "MODEL.MIC.ADVERSARIAL.WEIGHT"
    assert list(changes.check_changes(tiny_cfg(key, 0.002), tiny_cfg(key, 0.001))) == [key]
    with pytest.raises(UserError, match=key):
        changes.check_changes(tiny_cfg(key, 0.0), tiny_cfg(key, 0.001))


@pytest.mark.parametrize(
    ("change", "fine"),
    [({"images": "there"}, True), ({"classes": ["person", "car"]}, False), ({"mapping": {"auto": "car"}}, False)],
)
def test_data_may_move_but_not_mean_something_else(tiny_cfg, change, fine):
    former = tiny_cfg("DATASETS.DECLARE", (DECLARED,), "DATASETS.TRAIN", ("mine",))
    cfg = tiny_cfg("DATASETS.DECLARE", ({**DECLARED, **change},), "DATASETS.TRAIN", ("mine",))
    if fine:
        assert list(changes.check_changes(cfg, former)) == ["DATASETS.DECLARE"]
    else:
        with pytest.raises(UserError, match=r"DATASETS\.DECLARE"):
            changes.check_changes(cfg, former)


def test_a_config_comes_back_from_its_file_unchanged(tiny_cfg, tmp_path):
    cfg = tiny_cfg("DATASETS.DECLARE", (DECLARED,))
    (tmp_path / "config.yaml").write_text(cfg.dump())
    assert changes.differences(cfg, changes.former_config(tmp_path)) == {}
    assert changes.former_config(tmp_path / "none") is None
