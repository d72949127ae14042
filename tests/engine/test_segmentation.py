"""Segmentation through the trainer: every published method, label-free targets, memory-saving order, evaluation and pictures."""

import json

import cv2
import numpy as np
import pytest
import torch

import mic_det
from mic_det.engine import AdaptationTrainer
from mic_det.errors import UserError
from mic_det.evaluation import evaluate
from mic_det.experiments.benchmark import run_benchmark
from mic_det.reporting import segmentation_pictures
from tests.conftest import TINY_SEGMENTATION
from tests.engine.test_trainer import steps

# Any published config on tiny ToyCity images: smallest encoders, no ImageNet weights.
SMALL = [
    *TINY_SEGMENTATION,
    *("DATASETS.TRAIN", ("toycity_synthetic_train",), "DATASETS.TEST", ("toycity_seg_val",), "MODEL.WEIGHTS", ""),
    *("INPUT.SEM_SEG.SOURCE_SIZE", (), "INPUT.SEM_SEG.TARGET_SIZE", (), "INPUT.SEM_SEG.TEST_SIZE", ()),
    *("MODEL.MIT.VARIANT", "b0", "MODEL.RESNETS.DEPTH", 50, "MODEL.HRDA.DETAIL_CROP", (32, 64), "MODEL.MIC.MASK.BLOCK_SIZE", 8),
    *(
        "INPUT.SEM_SEG.TARGET_MARGINS",
        (2, 15, 2, 2),
        "MODEL.LANGUAGE_HEAD.TEXT_BANK",
        "random",
        "MODEL.SEM_SEG_HEAD.CONVS_DIM",
        32,
    ),
    *("MODEL.MIC.PSEUDO_LABELS.THRESHOLD", 0.06, "SOLVER.WARMUP_ITERS", 0, "SOLVER.BASE_LR", 0.01),
]
METHODS = [
    *("gta2cs_seg_daformer", "gta2cs_seg_mic_hrda", "gta2cs_seg_mic_advseg", "gta2cs_seg_minent", "gta2cs_seg_mic_dacs"),
    *("cs2acdc_seg_mic_daformer", "synthia2cs_seg_reference", "gta2cs_seg_lcmsm", "synthia2cs_seg_lcmsm_hrda"),
    *("gta2cs_seg_lcmsm_no_text", "synthia2cs_seg_lcmsm_baseline", "gta2cs_seg_lcmsm_reference"),
]


@pytest.mark.parametrize("name", METHODS)
def test_every_published_method_trains_and_predicts(datasets, tmp_path, name):
    overrides = [*SMALL, "DATASETS.TARGET", ("toycity_seg_train",), "OUTPUT_DIR", str(tmp_path)]
    if "hrda" in name or "reference" in name:
        overrides += ["TEST.SEM_SEG.WINDOW", (64, 64), "TEST.SEM_SEG.WINDOW_STRIDE", (64, 32), "TEST.SEM_SEG.WINDOW_BATCH", 2]
    cfg = mic_det.load_config(name, overrides)
    trainer = AdaptationTrainer(cfg)
    before = {key: value.clone() for key, value in trainer.core.student.named_parameters()}
    seen = steps(trainer, 2)
    assert all(np.isfinite(list(losses.values())).all() for losses in seen)
    assert all(
        not torch.equal(before[key], value) for key, value in trainer.core.student.named_parameters() if value.grad is not None
    )
    assert all(value.grad is not None for value in trainer.core.student.parameters())
    results = evaluate(trainer.task, cfg, trainer.core, 2)
    assert 0 <= results["student/toycity_seg_val"]["mIoU"] <= 100
    assert len(results["student/toycity_seg_val"]) > 19


def write_target(datasets, folder, labels):
    """The target's images with other label images, or none."""
    rng = np.random.default_rng(0)
    source = datasets / "toycity_seg/leftImg8bit/train/toytown"
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    for path in source.iterdir():
        (folder / "images" / path.name).symlink_to(path)
        if labels == "shuffled":
            cv2.imwrite(str(folder / "labels" / path.name), rng.integers(0, 19, (64, 128), dtype=np.uint8))
    kind = {"format": "images"} if labels == "none" else {"format": "labels", "annotations": str(folder / "labels")}
    names = [] if labels == "none" else [f"class {index}" for index in range(19)]
    return {"name": f"target_{labels}", "images": str(folder / "images"), **kind, **({"classes": names} if names else {})}


def test_target_labels_cannot_leak(tiny_seg_cfg, datasets, tmp_path):
    from mic_det.data.declare import declare

    seen = []
    for labels in ("shuffled", "none"):
        entry = write_target(datasets, tmp_path / labels, labels)
        declare([entry])
        seen.append(steps(AdaptationTrainer(tiny_seg_cfg("DATASETS.TARGET", (entry["name"],))), 2))
    seen.append(steps(AdaptationTrainer(tiny_seg_cfg("DATASETS.TARGET", ("toycity_seg_train",))), 2))
    assert seen[0] == seen[1] == seen[2]


def test_passes_one_after_the_other_train_like_their_sum(tiny_seg_cfg):
    weights = []
    for sequential in (False, True):
        trainer = AdaptationTrainer(tiny_seg_cfg("MODEL.MIC.SEQUENTIAL_BACKWARD", sequential, "SOLVER.OPTIMIZER", "SGD"))
        losses = steps(trainer, 2)
        weights.append((trainer.core.student.state_dict(), losses))
    for name, value in weights[0][0].items():
        torch.testing.assert_close(weights[1][0][name], value, rtol=1e-3, atol=1e-5)
    assert weights[0][1][1]["total_loss"] == pytest.approx(weights[1][1][1]["total_loss"], rel=1e-3)


def test_the_source_only_run_equals_the_burn_in(tiny_seg_cfg):
    """A source-only run and an adapting one see the same until adaptation begins: studies share it."""
    alone = steps(AdaptationTrainer(tiny_seg_cfg(name="toycity_seg_source_only")), 2)
    burning = steps(AdaptationTrainer(tiny_seg_cfg("MODEL.MIC.BURN_IN", 2)), 2)
    assert alone == burning


def test_published_teachers_use_batch_statistics_again_after_an_evaluation(tiny_seg_cfg):
    cfg = tiny_seg_cfg("MODEL.MIC.TEACHER.BATCH_STATISTICS", True, "MODEL.SEM_SEG_HEAD.NORM", "BN")
    trainer = AdaptationTrainer(cfg)
    evaluate(trainer.task, cfg, trainer.core, 1)
    before = trainer.core.teacher.model.sem_seg_head.fuse.norm.running_mean.clone()
    segmentation_pictures.lessons(cfg, trainer.core, count=1)
    head = trainer.core.teacher.model.sem_seg_head
    assert head.fuse.norm.training and not head.dropout.training
    assert torch.equal(head.fuse.norm.running_mean, before)  # pictures are no training


def test_pictures_show_truth_lessons_and_confusion(tiny_seg_cfg, tmp_path):
    cfg = tiny_seg_cfg()
    trainer = AdaptationTrainer(cfg)
    rows = segmentation_pictures.comparison(cfg, {"student": trainer.core.student.eval()}, "toycity_seg_val", count=2)
    assert [caption for caption, _ in rows[0]] == ["image", "ground truth", "student"] and len(rows) == 2
    assert all(image.shape == rows[0][0][1].shape and image.dtype == np.uint8 for _, image in rows[0])
    trainer.core.train()
    lessons = segmentation_pictures.lessons(cfg, trainer.core, count=2)
    assert [len(row) for row in lessons] == [6, 6] and "quality" in lessons[0][1][0] and "removed" in lessons[0][4][0]
    assert trainer.core.student.training
    again = segmentation_pictures.lessons(cfg, trainer.core, count=2)
    assert all(
        np.array_equal(a[1], b[1]) for row, other in zip(lessons, again, strict=True) for a, b in zip(row, other, strict=True)
    )


def test_a_step_is_taken_apart(tiny_seg_cfg):
    result = run_benchmark(tiny_seg_cfg(), steps=2, warmup=1)
    assert result["network"] == [
        *("teacher forward", "student source forward+backward"),
        *("student mixed forward+backward", "student masked forward+backward"),
    ]
    assert {"EMA", "data", "optimizer", "mix and jitter", "mask and jitter"} < set(result["parts"])
    assert result["diagnostics"]["pseudo_quality"] > 0
    result = run_benchmark(tiny_seg_cfg(name="toycity_seg_lcmsm_random"), steps=1, warmup=1)
    assert result["network"] == [
        *("teacher forward", "student source forward+backward", "student masked source forward+backward"),
        *("student mixed forward+backward", "student masked forward+backward"),
    ]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("DATASETS.TRAIN", ("toycity_train",)), "has boxes but no label image"),
        (("MODEL.SEM_SEG_HEAD.NUM_CLASSES", 5), r"SEM_SEG_HEAD\.NUM_CLASSES is 5, but 'toycity_synthetic_train' has 19 classes"),
        (("DATASETS.RARE_CLASSES.MIN_PIXELS", 8000), "MIN_PIXELS: no image has more than 8000 pixels"),
        (("DATASETS.TARGET", ("toycity_seg_tran",)), "Did you mean 'toycity_seg_train'"),
        (("MODEL.META_ARCHITECTURE", "EncoderDecoder"), "'EncoderDecoder' cannot adapt"),
        (("SOLVER.TARGET_IMS_PER_BATCH", 4, "MODEL.MIC.BURN_IN", 5), "IMS_PER_BATCH is 2 and SOLVER.TARGET_IMS_PER_BATCH 4"),
        (("INPUT.SEM_SEG.TARGET_MARGINS", (40, 24, 0, 0)), "MARGINS .40, 24, 0, 0. leave nothing of an image of 128x64 pixels"),
        (("INPUT.SEM_SEG.TARGET_MARGINS", (0, 0, 500, 0)), "MARGINS .0, 0, 500, 0. leave nothing"),
    ],
)
def test_wrong_runs_fail_before_training(tiny_seg_cfg, overrides, message):
    with pytest.raises(UserError, match=message):
        AdaptationTrainer(tiny_seg_cfg(*overrides))


def test_confusion_is_saved_and_read_back(tiny_seg_cfg, tmp_path):
    cfg = tiny_seg_cfg("TEST.MODELS", ("student",))
    trainer = AdaptationTrainer(cfg)
    evaluate(trainer.task, cfg, trainer.core, 1)
    saved = json.loads((tmp_path / "run/inference/student/toycity_seg_val/confusion.json").read_text())
    assert np.sum(saved["true_by_predicted"]) == 4 * 64 * 128
    titles = [section["title"] for section in trainer.task.sections(cfg, tmp_path / "run")]
    assert titles == [f"Confusion of the student on {name}" for name in cfg.DATASETS.TEST]


@pytest.mark.parametrize("student", ["EncoderDecoder", "HRDA"])
def test_mixed_precision_stays_near_full_precision(tiny_seg_cfg, student):
    own = ("MODEL.MIC.STUDENT", student, "MODEL.HRDA.DETAIL_CROP", (32, 64), "MODEL.MIC.ADVERSARIAL.WEIGHT", 0.1)
    full, mixed = (
        steps(AdaptationTrainer(tiny_seg_cfg(*own, "MODEL.MIC.PSEUDO_LABELS.THRESHOLD", 0.0, "SOLVER.AMP.ENABLED", enabled)), 1)[
            0
        ]
        for enabled in (False, True)
    )
    for name in ("loss_seg", "loss_seg_mix", "loss_discriminator"):
        assert mixed[name] == pytest.approx(full[name], rel=0.05), name


def test_features_of_an_adapted_checkpoint_do_not_pass_for_imagenets(tiny_seg_cfg, tmp_path):
    """A checkpoint without ImageNet features can be evaluated, but not be trained with a distance to random ones."""
    from detectron2.modeling import build_model

    from mic_det.checkpoint.weights import load_weights

    trainer = AdaptationTrainer(tiny_seg_cfg())
    torch.save({"model": trainer.core.state_dict()}, tmp_path / "mic.pth")
    cfg = tiny_seg_cfg("MODEL.MIC.FEATURE_DISTANCE.WEIGHT", 0.1, "MODEL.WEIGHTS", str(tmp_path / "mic.pth"))
    assert load_weights(build_model(cfg), cfg.MODEL.WEIGHTS) == ["feature_distance"]
    with pytest.raises(UserError, match="holds no ImageNet features"):
        AdaptationTrainer(cfg)
