import re
from pathlib import Path

import pytest
from detectron2.config import get_cfg
from detectron2.data import DatasetCatalog

import mic_det
from mic_det import library
from mic_det.config import add_mic_config, known_keys, value_of
from mic_det.engine.checks import check_config
from mic_det.errors import UserError
from tests.conftest import REPOSITORY

CONFIGS = [library.find(name) for name in library.names()]
SEGMENTATION = [path for path in CONFIGS if "_seg_" in path.stem]
CLASSIFICATION = [path for path in CONFIGS if "_cls_" in path.stem]
DETECTION = [path for path in CONFIGS if path not in (*SEGMENTATION, *CLASSIFICATION)]


def test_every_key_of_ours_is_read_somewhere_and_has_a_comment():
    ours = set(known_keys(add_mic_config(get_cfg()))) - set(known_keys(get_cfg()))
    code = "".join(path.read_text() for path in (REPOSITORY / "mic_det").rglob("*.py") if path.parent.name != "config")
    definition = "".join(path.read_text() for path in (REPOSITORY / "mic_det/config").glob("*.py"))
    assert len(ours) > 20
    for key in ours:
        assert re.search(rf"\b{key.rsplit('.', 1)[-1]}\b", code), f"{key} is not read"
        assert re.search(rf"# .+\n    cfg\.{re.escape(key)} = ", definition), f"{key} has no comment"


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_loads_is_short_and_writes_to_its_own_folder(path):
    cfg = mic_det.load_config(path)
    check_config(cfg)
    assert f"output/{path.stem}" == cfg.OUTPUT_DIR
    assert len(path.read_text().splitlines()) <= 30
    adapts = not path.stem.endswith(("source_only", "oracle"))
    assert bool(cfg.DATASETS.TARGET) == adapts


@pytest.mark.parametrize("path", DETECTION, ids=lambda path: path.stem)
def test_detection_methods_are_what_their_names_say(path):
    cfg = mic_det.load_config(path)
    assert cfg.MODEL.META_ARCHITECTURE == "MaskedConsistencyDetector"
    assert (cfg.MODEL.MIC.MASK.RATIO > 0) == ("mean_teacher" not in path.stem)
    alone = ("_source_only", "_oracle", "_mean_teacher", "_mic")
    assert (not path.stem.endswith(alone)) == cfg.MODEL.MIC.ALIGN.ENABLED
    assert (cfg.MODEL.MIC.LOSS_WEIGHT > 0) == (not path.stem.endswith("sada"))


@pytest.mark.parametrize("path", SEGMENTATION, ids=lambda path: path.stem)
def test_segmentation_methods_are_what_their_names_say(path):
    cfg = mic_det.load_config(path)
    name = path.stem.split("_seg_")[1]
    method = "mic_hrda" if name == "reference" else name.removesuffix("_reference")
    mic, adapts = cfg.MODEL.MIC, method not in ("source_only", "oracle")
    assert cfg.MODEL.META_ARCHITECTURE == "MaskedConsistencySegmentor"
    assert (mic.STUDENT == "HRDA") == (method in ("hrda", "mic_hrda", "lcmsm_hrda"))
    lcmsm = method.startswith("lcmsm") and method != "lcmsm_baseline"
    assert not adapts or (mic.LOSS_WEIGHT > 0) == (method.startswith(("mic_", "mt_")) or lcmsm)
    assert lcmsm == cfg.MODEL.LANGUAGE_HEAD.ENABLED and (not lcmsm or mic.MASK.IMAGES == "source_and_mixed")
    assert cfg.TEST.SEM_SEG.DECODER == "plain"
    assert (mic.MASK.RATIO > 0) == (not method.startswith("mt_"))
    assert any(mic.REFERENCE.values()) == name.endswith("reference")
    assert mic.TEACHER.BATCH_STATISTICS
    assert (mic.ADVERSARIAL.WEIGHT > 0) == method.endswith("advseg") and (mic.ENTROPY.WEIGHT > 0) == method.endswith("minent")
    assert (not method.endswith(("advseg", "minent"))) == mic.MIX.ENABLED
    for name in (*cfg.DATASETS.TRAIN, *cfg.DATASETS.TARGET, *cfg.DATASETS.TEST):
        assert name in DatasetCatalog.list(), name


@pytest.mark.parametrize("path", CLASSIFICATION, ids=lambda path: path.stem)
def test_classification_methods_are_what_their_names_say(path):
    cfg = mic_det.load_config(path)
    method = path.stem.split("_cls_")[1].removeprefix("r101_")
    mic, adapts = cfg.MODEL.MIC, method not in ("source_only", "oracle")
    assert cfg.MODEL.META_ARCHITECTURE == "MaskedConsistencyClassifier" and mic.STUDENT == "ImageClassifier"
    assert (cfg.SOLVER.SAM_RHO > 0) == adapts and mic.CDAN.WEIGHT == mic.MCC.WEIGHT == 1
    assert not adapts or (mic.LOSS_WEIGHT > 0) == (method != "sdat")
    assert any(mic.REFERENCE.values()) == (method == "reference")


TEACHERS = {"KORNIA_JITTER", "BATCH_QUALITY", "BATCH_AUGMENTATION"}
MIXED = TEACHERS | {"BATCH_CLASSES"}
HRDAS = MIXED | {"HRDA_OFFSET_BELOW_LIMIT", "HRDA_FIXED_DIVISOR"}
PUBLISHED = {
    **dict.fromkeys(("gta2cs_seg", "synthia2cs_seg", "cs2acdc_seg", "cs2darkzurich_seg"), HRDAS),
    **{f"{source}2cs_seg_lcmsm": MIXED | {"MASK_AUGMENTED_MIX"} for source in ("gta", "synthia")},
    **{f"{source}2cs_seg_{mic}daformer": MIXED for source in ("gta", "synthia") for mic in ("", "mic_")},
    **{f"gta2cs_seg_{mic}dacs": MIXED for mic in ("", "mic_")},
    **{"gta2cs_seg_minent": set(), "gta2cs_seg_mic_minent": TEACHERS},
    "gta2cs_seg_advseg": {"DISCRIMINATOR_STEPPED_TWICE"},
    "gta2cs_seg_mic_advseg": TEACHERS | {"DISCRIMINATOR_STEPPED_TWICE"},
}


def test_segmentations_reference_configs_turn_on_what_the_published_runs_had():
    assert {path.stem.removesuffix("_reference") for path in SEGMENTATION if path.stem.endswith("_reference")} == set(PUBLISHED)
    for stem, switches in PUBLISHED.items():
        cfg = mic_det.load_config(f"{stem}_reference")
        assert {name for name, value in cfg.MODEL.MIC.REFERENCE.items() if value} == switches | {"MEAN_OVER_IGNORED"}, stem
        method = f"{stem}{'_mic_hrda' if stem.endswith('_seg') else ''}"
        compare(cfg, mic_det.load_config(method), {"MODEL.MIC.REFERENCE"})


def test_daformers_margins_are_rows_only():
    for method in ("daformer", "mic_daformer", "daformer_reference", "mic_daformer_reference"):
        for source in ("gta", "synthia"):
            cfg = mic_det.load_config(f"{source}2cs_seg_{method}")
            assert cfg.INPUT.SEM_SEG.TARGET_MARGINS == (30, 240, 0, 0)
    for method in ("dacs", "mic_dacs", "mic_advseg", "mic_minent"):
        assert not any(mic_det.load_config(f"gta2cs_seg_{method}").INPUT.SEM_SEG.TARGET_MARGINS)


def test_lcmsm_has_the_released_values():
    for source, ratio, block, share in (("gta", 0.5, 32, 0.75), ("synthia", 0.7, 64, 0.7)):
        cfg = mic_det.load_config(f"{source}2cs_seg_lcmsm")
        mic = cfg.MODEL.MIC
        assert (ratio, block, share) == (mic.MASK.RATIO, mic.MASK.BLOCK_SIZE, mic.FEATURE_DISTANCE.MIN_RATIO)
        assert (cfg.SOLVER.MAX_ITER, cfg.MODEL.SEM_SEG_HEAD.CONVS_DIM, cfg.SOLVER.POLY_LR_POWER) == (60000, 512, 1.0)
        assert cfg.TEST.SEM_SEG.WINDOW == (512, 512) and cfg.TEST.SEM_SEG.WINDOW_STRIDE == (256, 256)
        assert not any(cfg.INPUT.SEM_SEG.TARGET_MARGINS) and cfg.MODEL.LANGUAGE_HEAD.TEMPERATURE == 0.07
        baseline = mic_det.load_config(f"{source}2cs_seg_lcmsm_baseline")
        compare(cfg, baseline, {"MODEL.LANGUAGE_HEAD.ENABLED", "MODEL.MIC.LOSS_WEIGHT"})
        compare(cfg, mic_det.load_config(f"{source}2cs_seg_lcmsm_no_text"), {"MODEL.LANGUAGE_HEAD"})


def test_mic_on_sdat_has_the_published_values():
    for name, iterations, temperature, weight, batch in (
        ("visda_cls_mic", 15000, 2.0, "teacher_score", 32),
        ("visda_cls_r101_mic", 30000, 3.0, "none", 32),
        ("officehome_Pr2Ar_cls_mic", 30000, 2.0, "teacher_score", 24),
    ):
        cfg = mic_det.load_config(name)
        mic, solver = cfg.MODEL.MIC, cfg.SOLVER
        assert (iterations, temperature, weight) == (solver.MAX_ITER, mic.MCC.TEMPERATURE, mic.PSEUDO_LABELS.WEIGHT)
        assert (batch, batch, 0.02) == (solver.IMS_PER_BATCH, solver.TARGET_IMS_PER_BATCH, solver.SAM_RHO)
        assert (mic.TEACHER.ALPHA, mic.TEACHER.RAMP, mic.MASK.RATIO, mic.AUGMENT.JITTER) == (0.9, True, 0.7, 0.2)
        assert 4 * mic.MASK.BLOCK_SIZE == cfg.INPUT.CLASSIFICATION.CROP == 224
        assert name.startswith("officehome") == cfg.INPUT.CLASSIFICATION.RANDOM_RESIZED_CROP


def test_mic_on_hrda_has_the_published_values():
    cfg = mic_det.load_config("gta2cs_seg_mic_hrda")
    mic, semantic = cfg.MODEL.MIC, cfg.INPUT.SEM_SEG
    assert (mic.MASK.BLOCK_SIZE, mic.MASK.RATIO, mic.TEACHER.ALPHA, mic.TEACHER.RAMP) == (64, 0.7, 0.999, True)
    assert (mic.PSEUDO_LABELS.THRESHOLD, mic.FEATURE_DISTANCE.WEIGHT, mic.FEATURE_DISTANCE.MIN_RATIO) == (0.968, 0.005, 0.75)
    assert (semantic.SOURCE_SIZE, semantic.TARGET_SIZE, semantic.TARGET_MARGINS) == (
        (2560, 1440),
        (2048, 1024),
        (30, 240, 30, 30),
    )
    assert (list(cfg.INPUT.CROP.SIZE), cfg.TEST.SEM_SEG.WINDOW, cfg.TEST.SEM_SEG.WINDOW_STRIDE) == (
        *([1024, 1024], (1024, 1024), (512, 512)),
    )
    hrda, rare = cfg.MODEL.HRDA, cfg.DATASETS.RARE_CLASSES
    assert (hrda.DETAIL_CROP, hrda.DETAIL_WEIGHT, hrda.CONTEXT_WEIGHT) == ((512, 512), 0.1, 0.0)
    assert (rare.TEMPERATURE, rare.MIN_PIXELS, rare.MIN_CROP_RATIO) == (0.01, 3000, 2.0)
    assert (cfg.SOLVER.BASE_LR, cfg.SOLVER.HEAD_LR_FACTOR, cfg.SOLVER.MAX_ITER, cfg.SOLVER.WARMUP_ITERS) == (
        6e-5,
        10,
        40000,
        1500,
    )
    half = mic_det.load_config("gta2cs_seg_mic_daformer")
    assert half.MODEL.MIC.MASK.BLOCK_SIZE == 32 and half.DATASETS.RARE_CLASSES.MIN_CROP_RATIO == 0.5
    night = mic_det.load_config("cs2darkzurich_seg_mic_hrda")
    assert (night.MODEL.MIC.MASK.IMAGES, night.MODEL.MIC.MASK.AUGMENT) == ("halves", False)
    assert not any(night.INPUT.SEM_SEG.TARGET_MARGINS)


TRANSFERS = sorted(path.stem.removesuffix("_source_only") for path in DETECTION if path.stem.endswith("_source_only"))


@pytest.mark.parametrize("stem", TRANSFERS)
def test_methods_of_a_transfer_differ_only_where_they_must(stem):
    base = mic_det.load_config(f"{stem}_mic")
    for method, allowed in {
        "source_only": {"DATASETS.TARGET", "MODEL.MIC.MASK", "MODEL.MIC.TEACHER", "MODEL.MIC.PSEUDO_LABELS"},
        "oracle": {"DATASETS.TARGET", "DATASETS.TRAIN", "MODEL.MIC.MASK", "MODEL.MIC.TEACHER", "MODEL.MIC.PSEUDO_LABELS"},
        "mean_teacher": {"MODEL.MIC.MASK.RATIO"},
        "sada": {"MODEL.MIC.LOSS_WEIGHT", "MODEL.MIC.ALIGN"},
    }.items():
        name = f"{stem}_{method}"
        if name in library.names():
            compare(base, mic_det.load_config(name), allowed | ({"DATASETS.TEST"} if stem == "voc2clipart" else set()))
    compare(base, mic_det.load_config(stem), {"MODEL.MIC.ALIGN"})


def test_every_transfer_names_datasets_that_are_registered_with_as_many_classes():
    for stem in TRANSFERS:
        cfg = mic_det.load_config(stem)
        for name in (*cfg.DATASETS.TRAIN, *cfg.DATASETS.TARGET, *cfg.DATASETS.TEST):
            assert name in DatasetCatalog.list(), name
    assert len(TRANSFERS) == 10


def test_the_reference_config_turns_on_what_the_published_run_had():
    """Blur always, jitter never: the published dice fell so with its default seed."""
    cfg = mic_det.load_config(REPOSITORY / "configs/cs2foggy_reference.yaml")
    published = ("INSTANCE_LEVEL_ZERO_ONLY", "ALIGN_PADDING", "RPN_WEIGHT_GRADIENT", "BATCH_PROPOSALS", "TARGET_IMAGE_BOX")
    assert all(cfg.MODEL.MIC.REFERENCE[name] for name in (*published, "LEGACY_BOXES"))
    assert cfg.MODEL.RPN.SMOOTH_L1_BETA == 1 / 9 and cfg.SOLVER.WARMUP_FACTOR == 1 / 3
    assert (cfg.MODEL.MIC.AUGMENT.BLUR_PROB, cfg.MODEL.MIC.AUGMENT.JITTER) == (1.0, 0.0)
    assert (cfg.MODEL.MIC.PSEUDO_LABELS.WEIGHT, cfg.MODEL.MIC.INFERENCE) == ("student_max", "student")
    default = mic_det.load_config(REPOSITORY / "configs/cs2foggy.yaml")
    assert not any(default.MODEL.MIC.REFERENCE.values())
    align = default.MODEL.MIC.ALIGN
    assert (align.IMAGE_GRADIENT, align.INSTANCE_GRADIENT, align.CONSISTENCY_GRADIENT) == (0.025, 0.1, 0.1)
    assert mic_det.load_config(REPOSITORY / "configs/sim10k2cs.yaml").MODEL.MIC.ALIGN.IMAGE_GRADIENT == 0.01


def compare(base, other, allowed):
    differing = {key for key in known_keys(base) if value_of(base, key) != value_of(other, key)} - {"OUTPUT_DIR"}
    assert all(any(key.startswith(prefix) for prefix in allowed) for key in differing), differing


def test_cs2foggy_has_the_published_values():
    cfg = mic_det.load_config(REPOSITORY / "configs/cs2foggy.yaml")
    assert (cfg.SOLVER.BASE_LR, cfg.SOLVER.MAX_ITER, cfg.SOLVER.STEPS) == (0.0025, 60000, (30000, 40000))
    assert (cfg.MODEL.MIC.MASK.BLOCK_SIZE, cfg.MODEL.MIC.MASK.RATIO, cfg.MODEL.MIC.TEACHER.ALPHA) == (32, 0.5, 0.9)
    assert (cfg.MODEL.MIC.PSEUDO_LABELS.THRESHOLD, cfg.MODEL.MIC.LOSS_WEIGHT) == (0.8, 1.0)
    assert (cfg.INPUT.MIN_SIZE_TRAIN, cfg.INPUT.MAX_SIZE_TRAIN) == ((800,), 1600)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["MODEL.MIC.MASK.RATO", 0.5], r"MODEL\.MIC\.MASK\.RATO.*Did you mean 'MODEL\.MIC\.MASK\.RATIO'"),
        (["SOLVER.MAX_ITER", "many"], r"command line.*SOLVER\.MAX_ITER"),
        (["SOLVER.MAX_ITER"], "command line"),
    ],
)
def test_wrong_overrides_are_one_sentence(overrides, message):
    with pytest.raises(UserError, match=message):
        mic_det.load_config(None, overrides)


def test_a_renamed_key_names_the_new_one(tmp_path):
    (tmp_path / "old.yaml").write_text("MODEL: {MIC: {REFERENCE: {TEACHER_BATCH_STATISTICS: True}}}\n")
    for arguments in ((tmp_path / "old.yaml",), (None, ["MODEL.MIC.REFERENCE.TEACHER_BATCH_STATISTICS", True])):
        with pytest.raises(UserError, match=r"TEACHER_BATCH_STATISTICS was renamed to MODEL\.MIC\.TEACHER\.BATCH_STATISTICS"):
            mic_det.load_config(*arguments)


def test_whole_numbers_will_do_for_floats():
    cfg = mic_det.load_config(None, ["MODEL.MIC.LOSS_WEIGHT", "1", "MODEL.MIC.MASK.RATIO", 0, "SOLVER.MAX_ITER", "5"])
    assert (cfg.MODEL.MIC.LOSS_WEIGHT, cfg.MODEL.MIC.MASK.RATIO, cfg.SOLVER.MAX_ITER) == (1.0, 0.0, 5)
    assert isinstance(cfg.MODEL.MIC.LOSS_WEIGHT, float) and isinstance(cfg.SOLVER.MAX_ITER, int)


def test_wrong_files_are_named(tmp_path):
    with pytest.raises(UserError, match=r"gone\.yaml does not exist"):
        mic_det.load_config(tmp_path / "gone.yaml")
    Path(tmp_path / "bad.yaml").write_text("MODEL:\n  MIK:\n    STUDENT: x\n")
    with pytest.raises(UserError, match=r"bad\.yaml.*MODEL\.MIK"):
        mic_det.load_config(tmp_path / "bad.yaml")
