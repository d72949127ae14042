"""What must hold between config keys before a run."""

import pytest

from mic_det.config import load_config
from mic_det.engine import AdaptationTrainer
from mic_det.engine.checks import check_config
from mic_det.errors import UserError
from tests.conftest import REPOSITORY

STEMS = {"detection": "toycity_mic", "segmentation": "toycity_seg_mic_daformer", "classification": "toycity_cls_mic"}


def check(task, *overrides):
    check_config(load_config(STEMS[task], overrides))


@pytest.mark.parametrize(
    ("task", "overrides", "message"),
    [
        ("detection", ("MODEL.MIC.BURN_IN", 1450), r"BURN_IN is 1450: must be below SOLVER\.MAX_ITER 1450, or DATASETS\.TARGET"),
        ("detection", ("SOLVER.STEPS", (1450,)), r"SOLVER\.STEPS is \(1450,\): must be below SOLVER\.MAX_ITER 1450"),
        ("detection", ("SOLVER.STEPS", (2, 1)), "must increase"),
        (
            "detection",
            ("SOLVER.LR_SCHEDULER_NAME", "WarmupCosineLR", "SOLVER.BASE_LR_END", 2),
            r"must be at most SOLVER\.BASE_LR",
        ),
        ("detection", ("SOLVER.OPTIMIZER", "SGD", "SOLVER.NESTEROV", True, "SOLVER.MOMENTUM", 0), "needs SOLVER.MOMENTUM"),
        ("detection", ("MODEL.MIC.STUDENT", "GeneralizedRCN"), "not registered .Did you mean 'GeneralizedRCNN'"),
        ("detection", ("MODEL.MIC.STUDENT", "PanopticFPN"), "'PanopticFPN', which MaskedConsistencyDetector cannot adapt"),
        ("detection", ("MODEL.MIC.STUDENT", "MaskedConsistencyDetector"), "cannot adapt: must be a detector with"),
        ("segmentation", ("MODEL.MIC.STUDENT", "GeneralizedRCNN"), "must be EncoderDecoder or a subclass"),
        ("classification", ("MODEL.MIC.STUDENT", "HRDA"), "must be ImageClassifier or a subclass"),
        ("detection", ("MODEL.RPN.HEAD_NAME", "Standard"), r"MODEL\.RPN\.HEAD_NAME names 'Standard', which is not registered"),
        ("detection", ("INPUT.CROP.ENABLED", True), "must stay False"),
        ("detection", ("INPUT.MIN_SIZE_TRAIN_SAMPLING", "range", "INPUT.MIN_SIZE_TRAIN", (1, 2, 3)), r"must be \(low, high\)"),
        ("detection", ("MODEL.MIC.PSEUDO_LABELS.IGNORE_THRESHOLD", 0.95), "must be below the threshold"),
        ("detection", ("TEST.MODELS", ()), r"TEST\.MODELS is empty"),
        ("detection", ("CHECKPOINT.BEST_ON", "teacher/other/AP50"), "its dataset must be one of DATASETS.TEST"),
        ("detection", ("CHECKPOINT.BEST_ON", "ema/toycity_val/AP50"), r"must begin with one of TEST\.MODELS"),
        ("detection", ("CHECKPOINT.BEST_ON", "teacher/toycity_val/VOC07"), "its metric must be one of AP, AP50, AP75"),
        ("detection", ("CHECKPOINT.BEST_ON", "teacher/toycity_val/mIoU"), "its metric must be one of"),
        ("segmentation", ("CHECKPOINT.BEST_ON", "teacher/toycity_seg_val/IoU"), "its metric must be one of mIoU"),
        ("segmentation", ("TEST.SEM_SEG.WINDOW", (16, 16)), "one needs the other"),
        ("segmentation", ("TEST.SEM_SEG.WINDOW", (16, 16), "TEST.SEM_SEG.WINDOW_STRIDE", (8, 17)), "or pixels are left out"),
        ("segmentation", ("INPUT.CROP.SIZE", (0.5, 0.5)), "in whole pixels"),
        ("segmentation", ("MODEL.HRDA.DETAIL_WEIGHT", 0.7, "MODEL.HRDA.CONTEXT_WEIGHT", 0.7), "both together must be at most 1"),
        (
            "segmentation",
            ("MODEL.MIC.FEATURE_DISTANCE.WEIGHT", 1, "MODEL.MIC.FEATURE_DISTANCE.CLASSES", (99,)),
            "number of classes",
        ),
        ("segmentation", ("MODEL.MIC.REFERENCE.KORNIA_JITTER", True, "MODEL.MIC.AUGMENT.JITTER", 0.6), "at most 0.5"),
        ("classification", ("INPUT.CLASSIFICATION.CROP", 300), "must be at most RESIZE"),
    ],
)
def test_contradictions_are_one_sentence(task, overrides, message):
    with pytest.raises(UserError, match=f"^Wrong config: .*{message}"):
        check(task, *overrides)


@pytest.mark.parametrize(
    ("task", "overrides"),
    [
        ("detection", ("CHECKPOINT.BEST_ON", "teacher/toycity_val/AP50/car")),
        ("detection", ("CHECKPOINT.BEST_ON", "student/toycity_val/VOC12/car", "TEST.VOC_METRICS", ("voc12",))),
        ("detection", ("MODEL.MIC.BURN_IN", 9999, "DATASETS.TARGET", ())),
        ("detection", ("MODEL.MIC.STUDENT", "RetinaNet")),
        ("segmentation", ("TEST.SEM_SEG.WINDOW", (16, 16), "TEST.SEM_SEG.WINDOW_STRIDE", (16, 8))),
        ("segmentation", ("SOLVER.STEPS", (9999,))),  # its schedule has no steps
    ],
)
def test_what_makes_sense_is_accepted(task, overrides):
    check(task, *overrides)


def test_all_faults_come_at_once_and_before_anything_is_read():
    cfg = load_config(REPOSITORY / "configs/toycity_mic.yaml", ["DATASETS.TRAIN", ("not_there",)])
    cfg.MODEL.MIC.LOSS_WEIGHT, cfg.MODEL.MIC.BURN_IN, cfg.SOLVER.MAX_ITER = -1.0, True, 0
    with pytest.raises(UserError) as caught:
        AdaptationTrainer(cfg)
    for found in ("BURN_IN is True: Input should be a valid integer", "LOSS_WEIGHT is -1.0: ", "MAX_ITER is 0: "):
        assert found in str(caught.value)
    assert "not_there" not in str(caught.value)
