"""Classification through the trainer: SDAT's step, label-free targets, evaluation, reports and the step taken apart."""

import json

import numpy as np
import pytest
import torch

import mic_det
from mic_det.data.declare import declare
from mic_det.engine import AdaptationTrainer
from mic_det.engine.optimizer import InverseDecayLR, build_optimizers, scale_to_batch
from mic_det.errors import UserError
from mic_det.evaluation import evaluate
from mic_det.experiments.benchmark import run_benchmark
from mic_det.reporting import classification_pictures
from tests.engine.test_trainer import steps


def test_a_step_descends_with_the_gradient_of_the_ascended_point(tiny_cls_cfg):
    """Against the same step written out by hand: plain SGD, BatchNorm in training mode, no jitter."""
    options = ("SOLVER.MOMENTUM", 0.0, "SOLVER.NESTEROV", False, "SOLVER.WEIGHT_DECAY", 0.0, "SOLVER.WEIGHT_DECAY_NORM", 0.0)
    cfg = tiny_cls_cfg(*options, "SOLVER.SAM_RHO", 0.1, "MODEL.MIC.AUGMENT.JITTER", 0.0)
    trainer, by_hand = AdaptationTrainer(cfg), AdaptationTrainer(cfg)
    core, parameters = by_hand.core, [p for p in by_hand.core.student.parameters() if p.requires_grad]
    from mic_det.engine.trainer import seed_iteration

    seed_iteration(cfg.SEED, 0)
    core.update_teacher(0)
    (part,) = core.parts(by_hand.next_batch())
    gradients = torch.autograd.grad(sum(core(core.ascent(part)).values()), parameters)
    norm = torch.sqrt(sum((gradient**2).sum() for gradient in gradients))
    before = [parameter.detach().clone() for parameter in parameters]
    with torch.no_grad():
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.add_(0.1 * gradient / norm)
    gradients = torch.autograd.grad(sum(core(part).values()), parameters)
    steps(trainer, 1)
    rate = cfg.SOLVER.BASE_LR
    for own, start, gradient in zip(trainer.core.student.parameters(), before, gradients, strict=True):
        torch.testing.assert_close(own, start - rate * gradient, rtol=1e-3, atol=1e-6)


def test_the_discriminator_is_trained_but_not_moved(tiny_cls_cfg):
    trainer = AdaptationTrainer(tiny_cls_cfg())
    before = [parameter.clone() for parameter in trainer.core.alignment.parameters()]
    sharp = {id(parameter) for parameter in trainer.sharpness.parameters}
    assert not sharp & {id(parameter) for parameter in trainer.core.alignment.parameters()}
    losses = steps(trainer, 2)
    assert all(not torch.equal(a, b) for a, b in zip(before, trainer.core.alignment.parameters(), strict=True) if b.ndim > 1)
    assert set(losses[0]) > {"loss_cls", "loss_mcc", "loss_cdan", "loss_cls_mask", "total_loss", "domain_accuracy"}


def test_rates_are_the_published_ones():
    cfg = mic_det.load_config("visda_cls_r101_mic", ["MODEL.DEVICE", "cpu"])
    with torch.device("meta"):
        from detectron2.modeling import META_ARCH_REGISTRY

        core = META_ARCH_REGISTRY.get("MaskedConsistencyClassifier")(cfg)
    optimizer = build_optimizers(cfg, core)[0]["optimizer"]
    rates = {parameter: (group["lr"], group["weight_decay"]) for group in optimizer.param_groups for parameter in group["params"]}
    assert {rates[parameter] for parameter in core.student.backbone.parameters()} == {(2e-4, 1e-3)}
    fast = [*core.student.bottleneck.parameters(), *core.student.classifier.parameters(), *core.alignment.parameters()]
    assert {rates[parameter] for parameter in fast} == {(2e-3, 1e-3)}
    scheduler = InverseDecayLR(torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0))
    for iteration, factor in {0: 1.0, 15000: 0.125, 30000: 0.076}.items():
        scheduler.last_epoch = iteration
        assert scheduler.get_lr() == pytest.approx([factor], abs=5e-4)
    larger = mic_det.load_config("visda_cls_mic", ["SOLVER.REFERENCE_IMS_PER_BATCH", 16])
    scaled = scale_to_batch(larger)
    assert (scaled.SOLVER.MAX_ITER, scaled.SOLVER.INVERSE_LR_GAMMA, scaled.MODEL.MIC.CDAN.RAMP_ITERS) == (7500, 0.002, 500)


@pytest.mark.parametrize("name", ["visda_cls_mic", "visda_cls_r101_reference", "officehome_Ar2Cl_cls_sdat"])
def test_published_configs_train_and_predict(datasets, tmp_path, name):
    own = ("DATASETS.TRAIN", ("toycity_cls_clear_train",), "DATASETS.TARGET", ("toycity_cls_foggy_train",))
    small = ("MODEL.CLASSIFIER.NUM_CLASSES", 8, "SOLVER.IMS_PER_BATCH", 2, "SOLVER.TARGET_IMS_PER_BATCH", 2, "MODEL.WEIGHTS", "")
    network = ("MODEL.TIMM.NAME", "vit_tiny_patch16_224", "MODEL.TIMM.PRETRAINED_FILE", "", "MODEL.RESNETS.DEPTH", 18)
    options = [
        *own,
        *small,
        *network,
        "SEED",
        0,
        "DATASETS.TEST",
        ("toycity_cls_foggy_val",),
        "MODEL.DEVICE",
        "cpu",
        "OUTPUT_DIR",
        str(tmp_path),
    ]
    cfg = mic_det.load_config(name, [*options, "DATALOADER.NUM_WORKERS", 0])
    trainer = AdaptationTrainer(cfg)
    assert all(np.isfinite(list(losses.values())).all() for losses in steps(trainer, 2))
    results = evaluate(trainer.task, cfg, trainer.core, 2)
    assert 0 <= results["student/toycity_cls_foggy_val"]["mean_class"] <= 100


def test_target_labels_cannot_leak(tiny_cls_cfg, datasets, tmp_path):
    """Shuffled labels, none and the true ones give the same losses, bit by bit."""
    images = sorted((datasets / "toycity_cls/foggy/train").rglob("*.png"))
    rng = np.random.default_rng(0)
    (tmp_path / "list.txt").write_text(
        "".join(f"{path} {label}\n" for path, label in zip(images, rng.integers(0, 8, len(images)), strict=True))
    )
    names = [f"class {index}" for index in range(8)]
    shuffled = {
        "name": "cls_shuffled",
        "format": "image_list",
        "images": "/",
        "annotations": str(tmp_path / "list.txt"),
        "classes": names,
    }
    for index, path in enumerate(images):
        (tmp_path / "images").mkdir(exist_ok=True)
        (tmp_path / f"images/{index:05d}.png").symlink_to(path)
    declare([shuffled])
    targets = ("cls_shuffled", str(tmp_path / "images"))
    seen = [steps(AdaptationTrainer(tiny_cls_cfg("DATASETS.TARGET", (target,))), 2) for target in targets]
    assert seen[0] == seen[1]


def test_a_run_leaves_results_and_a_report(tiny_cls_cfg, tmp_path):
    cfg = tiny_cls_cfg("SOLVER.MAX_ITER", 4, "TEST.EVAL_PERIOD", 2, "LOG.PICTURE_PERIOD", 2)
    trainer = AdaptationTrainer(cfg)
    (tmp_path / "run").mkdir()
    trainer.train()
    entries = [json.loads(line) for line in (tmp_path / "run/evaluation.json").read_text().splitlines()]
    assert {entry["iteration"] for entry in entries} == {2, 4} and {"top1", "mean_class", "accuracy/rider"} < set(entries[0])
    page = (tmp_path / "run/report.html").read_text()
    assert "Confusion of the student on toycity_cls_foggy_val" in page
    assert "teacher: " in page and "truth: " in page
    best = max(e["top1"] for e in entries if (e["model"], e["dataset"]) == ("student", "toycity_cls_foggy_val"))
    assert (
        "chosen by test labels, which unsupervised adaptation does not have" in page and f"{best:.1f} (student on toycity" in page
    )


def test_a_run_survives_broken_images(tiny_cls_cfg, datasets, tmp_path, caplog):
    """In training, in the evaluation and in the report, which all look at the first and the last image."""
    images = sorted((datasets / "toycity_cls/foggy/val").rglob("*.png"))[:6]
    for index, path in enumerate(images):
        file = tmp_path / f"images/{'car' if index % 2 else 'bus'}/{index}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"broken" if index in (0, 5) else path.read_bytes())
    declare([{"name": "cls_broken", "format": "class_folders", "images": str(tmp_path / "images")}])
    own = ("cls_broken",)
    keys = ("DATASETS.TRAIN", own, "DATASETS.TARGET", own, "DATASETS.TEST", own)
    cfg = tiny_cls_cfg(*keys, "MODEL.CLASSIFIER.NUM_CLASSES", 2, "SOLVER.MAX_ITER", 4)
    (tmp_path / "run").mkdir()
    AdaptationTrainer(cfg).train()
    assert "Image left out, another takes its place" in caplog.text
    assert "Unreadable, evaluated without it" in caplog.text and "left out of the pictures" in caplog.text
    page = (tmp_path / "run/report.html").read_text()
    assert page.count("<figcaption>truth: ") == 4 and "teacher: " in page


def test_pictures_repeat_and_leave_the_mode_alone(tiny_cls_cfg):
    cfg = tiny_cls_cfg()
    core = AdaptationTrainer(cfg).core.train()
    first, second = (classification_pictures.lessons(cfg, core, count=2) for _ in range(2))
    assert len(first) == 2 and core.student.training and not core.teacher.model.training
    assert all(a[0] == b[0] and np.array_equal(a[1], b[1]) for a, b in zip(first[0], second[0], strict=True))


def test_a_step_is_taken_apart(tiny_cls_cfg):
    result = run_benchmark(tiny_cls_cfg(), steps=2, warmup=1)
    assert result["network"] == [
        "teacher forward",
        *(f"student {kind} {phase} forward+backward" for phase in ("ascent", "descent") for kind in ("joint", "masked")),
    ]


def test_wrong_uses_are_one_sentence(tiny_cls_cfg, tiny_cfg):
    with pytest.raises(UserError, match="has no class of its own"):
        AdaptationTrainer(tiny_cls_cfg("DATASETS.TRAIN", ("toycity_train",)))
    with pytest.raises(UserError, match="MODEL.CLASSIFIER.NUM_CLASSES is 5, but 'toycity_cls_clear_train' has 8 classes"):
        AdaptationTrainer(tiny_cls_cfg("MODEL.CLASSIFIER.NUM_CLASSES", 5))
    with pytest.raises(UserError, match="MODEL.BACKBONE.NAME names 'build_pooled', which is not registered"):
        AdaptationTrainer(tiny_cls_cfg("MODEL.BACKBONE.NAME", "build_pooled"))
    with pytest.raises(UserError, match=r"SOLVER\.TARGET_IMS_PER_BATCH is 1, but .* a multiple of 1, and at least 2"):
        AdaptationTrainer(tiny_cls_cfg("SOLVER.TARGET_IMS_PER_BATCH", 1))
    with pytest.raises(UserError, match="SOLVER.SAM_RHO is -0.1: Input should be greater than or equal to 0"):
        AdaptationTrainer(tiny_cls_cfg("SOLVER.SAM_RHO", -0.1))
    with pytest.raises(UserError, match="MaskedConsistencyDetector does not support sharpness-aware minimisation"):
        AdaptationTrainer(tiny_cfg("SOLVER.SAM_RHO", 0.1))
