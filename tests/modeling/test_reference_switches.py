"""A switch that does nothing under a config is said so, once, and no config of ours has one."""

import pytest
import torch
from detectron2.modeling import build_model

import mic_det
from mic_det import library
from mic_det.modeling.reference_switches import NEEDS, idle_switches
from tests.conftest import REPOSITORY, TINY


def test_no_config_has_an_idle_switch():
    for name in library.names():
        assert idle_switches(mic_det.load_config(name)) == {}, name


@pytest.mark.parametrize(
    ("config", "switch", "overrides", "need"),
    [
        ("cs2foggy_mic", "INSTANCE_LEVEL_ZERO_ONLY", (), "ALIGN.ENABLED True"),
        ("cs2foggy_mic", "ALIGN_PADDING", (), "ALIGN.ENABLED True"),
        ("cs2foggy_mic", "BATCH_PROPOSALS", (), "ALIGN.ENABLED True"),
        ("cs2foggy_mic", "TARGET_IMAGE_BOX", (), "ALIGN.ENABLED True"),
        ("cs2foggy_retinanet", "BATCH_PROPOSALS", (), "a student with an RPN"),
        ("cs2foggy_retinanet", "RPN_WEIGHT_GRADIENT", (), "a student with an RPN"),
        ("cs2foggy", "RPN_WEIGHT_GRADIENT", ("MODEL.MIC.PSEUDO_LABELS.WEIGHT", "none"), "WEIGHT student_max"),
        ("cs2foggy", "RPN_WEIGHT_GRADIENT", ("MODEL.MIC.LOSS_WEIGHT", 0.0), "LOSS_WEIGHT above 0"),
        (
            *("cs2foggy", "TARGET_IMAGE_BOX"),
            ("MODEL.MIC.ALIGN.INSTANCE_WEIGHT", 0.0, "MODEL.MIC.ALIGN.CONSISTENCY_WEIGHT", 0.0),
            "INSTANCE_WEIGHT or CONSISTENCY_WEIGHT above 0",
        ),
        ("cs2foggy", "HRDA_FIXED_DIVISOR", (), "segmentation"),
        ("gta2cs_seg_mic_daformer", "HRDA_FIXED_DIVISOR", (), "STUDENT HRDA"),
        ("gta2cs_seg_mic_daformer", "LEGACY_BOXES", (), "detection"),
        ("gta2cs_seg_mic_advseg", "BATCH_CLASSES", (), "MIX.ENABLED True"),
        ("visda_cls_mic", "WEIGHT_IN_ASCENT_ONLY", ("SOLVER.SAM_RHO", 0.0), "SAM_RHO above 0"),
    ],
)
def test_what_a_switch_lacks(config, switch, overrides, need):
    on = (f"MODEL.MIC.REFERENCE.{switch}", True)
    cfg = mic_det.load_config(config, [*on, *overrides])
    ((found, lacking),) = idle_switches(cfg).items()
    assert found == switch and lacking.endswith(need)


def test_every_listed_switch_exists():
    assert set(NEEDS) <= set(mic_det.load_config().MODEL.MIC.REFERENCE)


def test_building_a_model_says_it_once(caplog):
    options = [*TINY, "MODEL.WEIGHTS", "", "MODEL.MIC.REFERENCE.TARGET_IMAGE_BOX", True]
    cfg = mic_det.load_config(REPOSITORY / "configs/toycity_mic.yaml", options)
    torch.manual_seed(0)
    with caplog.at_level("WARNING", logger="mic_det"):
        build_model(cfg)
    sentences = [record.message for record in caplog.records if "does nothing" in record.message]
    assert sentences == ["MODEL.MIC.REFERENCE.TARGET_IMAGE_BOX does nothing here: it needs MODEL.MIC.ALIGN.ENABLED True."]
