"""Ranges of config values: complete, and every outcome is a config or one sentence."""

import contextlib
import math

import pytest
from detectron2.config import get_cfg
from hypothesis import given, settings
from hypothesis import strategies as st

from mic_det.config import add_mic_config, known_keys, load_config, value_of
from mic_det.config.files import read_config
from mic_det.config.loading import set_values, values_of
from mic_det.config.schema import RANGES, range_faults
from mic_det.engine.checks import check_config
from mic_det.errors import UserError

DEFAULTS = add_mic_config(get_cfg())
KEYS = sorted(known_keys(DEFAULTS))
NAMES = {"MODEL.LANGUAGE_HEAD.TEXT_BANK", "MODEL.TIMM.NAME", "MODEL.TIMM.PRETRAINED_FILE"}  # any text
# Negative numbers turn these off.
UNBOUNDED = {
    *("MODEL.HRDA.FIXED_ATTENTION", "MODEL.MIC.MASK.TEACHER_ALPHA", "MODEL.MIC.MASK.THRESHOLD"),
    *("MODEL.RETINANET.FOCAL_LOSS_ALPHA", "SEED"),
}


def with_value(cfg, key, value):
    """A copy of a config in which code has set one key, past the types that files and command lines are held to."""
    cfg = node = cfg.clone()
    *path, name = key.split(".")
    for part in path:
        node = node[part]
    dict.__setitem__(node, name, value)
    return cfg


def faults(key, value):
    return "; ".join(range_faults(with_value(DEFAULTS, key, value)))


def test_every_key_of_ours_that_is_no_switch_has_a_range():
    ours = set(KEYS) - set(known_keys(get_cfg())) - NAMES
    assert not {key for key in ours if type(value_of(DEFAULTS, key)) is not bool} - set(RANGES)
    assert set(RANGES) <= set(KEYS) and not range_faults(DEFAULTS)


@pytest.mark.parametrize("value", [None, "text", [[]], math.nan, -math.inf, True, -1e30, -(10**30)])
def test_nonsense_is_no_number(value):
    numbers = [key for key in KEYS if key in RANGES and type(value_of(DEFAULTS, key)) in (int, float)]
    assert len(numbers) > 100
    for key in numbers:
        if not (value in (-1e30, -(10**30)) and key in UNBOUNDED):
            assert f"{key} is " in faults(key, value), key


def test_no_key_takes_an_infinite_number_but_the_order_of_a_norm():
    floats = [key for key in KEYS if type(value_of(DEFAULTS, key)) is float]
    assert [key for key in floats if not faults(key, math.inf)] == ["SOLVER.CLIP_GRADIENTS.NORM_TYPE"]


def test_one_is_no_switch():
    switches = [key for key in KEYS if type(value_of(DEFAULTS, key)) is bool]
    assert len(switches) > 20 and all(f"{key} is 1" in faults(key, 1) for key in switches)


@pytest.mark.parametrize(
    ("key", "value", "found"),
    [
        ("MODEL.MIC.BURN_IN", -5, "MODEL.MIC.BURN_IN is -5: Input should be greater than or equal to 0"),
        ("MODEL.MIC.AUGMENT.BLUR_SIGMA", (2.0, 1.0), "must be (low, high) with low <= high"),
        ("MODEL.PIXEL_STD", [1.0, 0.0, 1.0], "MODEL.PIXEL_STD[1] is 0.0: Input should be greater than 0"),
        ("MODEL.PIXEL_MEAN", [1.0, 2.0], "MODEL.PIXEL_MEAN[2] is missing"),
        ("MODEL.DEVICE", "gpu", "must be cpu, cuda, cuda:0"),
        ("MODEL.DEVICE", "cuda:", "must be cpu, cuda, cuda:0"),
        ("SOLVER.LR_SCHEDULER_NAME", "Cosine", "Input should be 'WarmupMultiStepLR', 'WarmupCosineLR'"),
        ("SOLVER.AMP.DTYPE", "float16", "Input should be 'bf16' or 'fp16'"),
        ("TEST.MODELS", ("taecher",), "TEST.MODELS[0] is 'taecher': Input should be 'teacher' or 'student'"),
        ("TEST.AUG.ENABLED", True, "must stay False"),
        ("INPUT.RANGE", (5, 5), "must be (low, high) with low < high"),
        ("INPUT.RANGE", ("max", "min"), "must be (low, high) with low < high"),
        ("INPUT.RANGE", (0, math.inf), "must be (low, high) with low < high"),
        ("DATASETS.TARGET", None, "Input should be a valid tuple"),
        ("DATASETS.TRAIN", ("",), "DATASETS.TRAIN[0] is ''"),
        ("TEST.SEM_SEG.WINDOW", (5,), "must be a pair, or () for none"),
        ("CHECKPOINT.BEST_ON", "AP50", "must be MODEL/DATASET/METRIC"),
    ],
)
def test_what_was_found_and_what_is_allowed(key, value, found):
    assert found in faults(key, value)


def test_ranges_of_values_are_accepted():
    for value in ((), (0, 4095), (-100.0, 300.0), ("min", "max"), (0, "max"), ("min", 255)):
        assert not faults("INPUT.RANGE", value)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=6)
    | st.sampled_from(["(1, 2)", "()", "-1", "min", "[[1]]"]),
    lambda parts: st.lists(parts, max_size=3) | st.tuples(parts, parts) | st.dictionaries(st.text(max_size=3), parts, max_size=2),
    max_leaves=5,
)
OVERRIDES = st.lists(st.tuples(st.sampled_from(KEYS), VALUES), min_size=1, max_size=4)
TASKS = [load_config(stem) for stem in ("toycity_mic", "toycity_seg_mic_daformer", "toycity_cls_mic")]


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.sampled_from(TASKS), OVERRIDES)
def test_any_override_is_a_config_or_a_sentence(cfg, overrides):
    with contextlib.suppress(UserError):
        cfg = cfg.clone()
        set_values(cfg, overrides, "the command line")
        check_config(cfg)


@settings(max_examples=60, derandomize=True, deadline=None)
@given(st.sampled_from(TASKS), OVERRIDES)
def test_any_value_that_code_sets_is_a_config_or_a_sentence(cfg, values):
    for key, value in values:
        cfg = with_value(cfg, key, value)
    with contextlib.suppress(UserError):
        check_config(cfg)


@settings(max_examples=100, derandomize=True, deadline=None)
@given(st.text(alphabet="ab:-[]{}()*&!|>'\"#%@`,? \n\t01._~", max_size=40) | st.binary(max_size=20))
def test_any_file_is_a_config_or_a_sentence(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "fuzz.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with contextlib.suppress(UserError):
        values = values_of(read_config(path), DEFAULTS)
        set_values(DEFAULTS.clone(), values, "the file")
