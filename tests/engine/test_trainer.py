import json
import random
from pathlib import Path

import pytest
import torch
from detectron2.utils.events import EventStorage

from mic_det.checkpoint import files
from mic_det.engine import AdaptationTrainer
from mic_det.errors import UserError


def steps(trainer, count):
    """Take steps without hooks; returns each step's losses."""
    seen = []
    with EventStorage() as trainer.storage:
        for trainer.iter in range(count):
            trainer.run_step()
            seen.append({name: value for name, value in trainer.meters.read().items() if "time" not in name})
    return seen


def write_target(datasets, tmp_path, change):
    content = json.loads((datasets / "toycity/annotations/instances_train_foggy_0.045.json").read_text())
    change(content)
    for image in content["images"]:
        image["file_name"] = str(datasets / "toycity" / image["file_name"])
    path = tmp_path / f"{len(list(tmp_path.iterdir()))}.json"
    path.write_text(json.dumps(content))
    return str(path)


def shuffle_labels(content):
    random.Random(0).shuffle(content["annotations"])
    for item, image in zip(content["annotations"], content["images"] * 99, strict=False):
        item.update(image_id=image["id"], category_id=1 + item["category_id"] % 8, bbox=[1, 1, 5, 5])


@pytest.mark.parametrize("config", ["toycity", "toycity_mic", "toycity_sada"])
def test_target_labels_cannot_leak(tiny_cfg, datasets, tmp_path, config):
    runs = []
    for change in (lambda content: None, shuffle_labels, lambda content: content.pop("annotations")):
        target = write_target(datasets, tmp_path, change)
        runs.append(steps(AdaptationTrainer(tiny_cfg("DATASETS.TARGET", (target,), name=config)), 3))
    assert "loss_cls_mask" in runs[0][0] or config == "toycity_sada"
    assert runs[0] == runs[1] == runs[2]


def test_the_teacher_moves_before_the_student_and_never_by_gradient(tiny_cfg):
    trainer = AdaptationTrainer(tiny_cfg("MODEL.MIC.TEACHER.ALPHA", 0.75))
    student, teacher = trainer.core.student, trainer.core.teacher.model
    name = "backbone.bottom_up.res2.0.conv1.weight"
    start = student.state_dict()[name].clone()
    steps(trainer, 1)
    after_one = student.state_dict()[name].clone()
    assert torch.equal(teacher.state_dict()[name], start) and not torch.equal(after_one, start)
    with EventStorage() as trainer.storage:
        trainer.iter = 1
        trainer.run_step()
    torch.testing.assert_close(teacher.state_dict()[name], 0.75 * start + 0.25 * after_one)
    ids = {id(p) for group in trainer.optimizers["optimizer"].param_groups for p in group["params"]}
    assert not any(id(p) in ids for p in trainer.core.teacher.parameters())


def test_source_only_never_opens_the_target(tiny_cfg):
    trainer = AdaptationTrainer(tiny_cfg("DATASETS.TARGET", ()))
    losses = steps(trainer, 1)[0]
    assert trainer.target_stream is None and not any(name.endswith("_mask") for name in losses)


def test_burn_in_uses_the_source_only(tiny_cfg):
    losses = steps(AdaptationTrainer(tiny_cfg("MODEL.MIC.BURN_IN", 2)), 3)
    assert ["pseudo_boxes_per_image" in values for values in losses] == [False, False, True]


@pytest.mark.parametrize("optimizer", ["SGD", "AdamW"])
def test_a_non_finite_step_is_skipped_and_counted(tiny_cfg, optimizer, monkeypatch):
    trainer = AdaptationTrainer(tiny_cfg("SOLVER.OPTIMIZER", optimizer))
    forward, poisoned = trainer.core.masked_losses, {0, 2}

    def masked_losses(images):
        losses = forward(images)
        return {name: loss * float("nan") for name, loss in losses.items()} if trainer.iter in poisoned else losses

    monkeypatch.setattr(trainer.core, "masked_losses", masked_losses)
    weights = [{name: p.clone() for name, p in trainer.core.student.named_parameters()}]
    with EventStorage() as trainer.storage:
        for trainer.iter in range(4):
            trainer.run_step()
            weights.append({name: p.clone() for name, p in trainer.core.student.named_parameters()})
    moved = [any(not torch.equal(old[name], new[name]) for name in old) for old, new in zip(weights, weights[1:], strict=False)]
    assert moved == [False, True, False, True]
    assert trainer.meters.bad_steps() == (0, 2)
    assert all(torch.isfinite(value).all() for value in weights[-1].values())


def test_detectron2s_own_divergence_error_skips_the_step(tiny_cfg, monkeypatch):
    trainer = AdaptationTrainer(tiny_cfg())

    def refuse(batch):
        raise FloatingPointError("Predicted boxes or scores contain Inf/NaN. Training has diverged.")

    monkeypatch.setattr(trainer, "model", refuse)
    before = {name: p.clone() for name, p in trainer.core.student.named_parameters()}
    with EventStorage() as trainer.storage:
        trainer.run_step()
    assert trainer.meters.bad_steps() == (1, 1)
    assert all(torch.equal(before[name], p) for name, p in trainer.core.student.named_parameters())


def test_divergence_stops_with_a_checkpoint_and_a_sentence(tiny_cfg, monkeypatch):
    cfg = tiny_cfg("SOLVER.MAX_BAD_STEPS", 3, "SOLVER.MAX_ITER", 20, "DATASETS.TEST", ())
    Path(cfg.OUTPUT_DIR).mkdir()
    trainer = AdaptationTrainer(cfg)
    monkeypatch.setattr(
        trainer.core, "masked_losses", lambda images: {"loss_bad": next(trainer.core.student.parameters()).sum() * float("inf")}
    )
    with pytest.raises(UserError, match=r"not finite in 3 iterations in a row.*model_stopped\.pth.*Lower SOLVER\.BASE_LR"):
        trainer.train()
    saved = files.load(f"{cfg.OUTPUT_DIR}/model_stopped.pth")
    assert saved["meters"]["bad_total"] == 3
    assert all(torch.isfinite(value).all() for value in saved["model"].values())


@pytest.mark.parametrize("kind", ["bf16", "fp16"])
@pytest.mark.parametrize("name", ["toycity_source_only", "toycity_sada"])
def test_mixed_precision_trains_close_to_full_precision(tiny_cfg, kind, name):
    full = steps(AdaptationTrainer(tiny_cfg(name=name)), 3)
    mixed = steps(AdaptationTrainer(tiny_cfg("SOLVER.AMP.ENABLED", True, "SOLVER.AMP.DTYPE", kind, name=name)), 3)
    assert mixed[0]["total_loss"] != full[0]["total_loss"]
    for one, other in zip(full, mixed, strict=True):
        assert other["total_loss"] == pytest.approx(one["total_loss"], rel=0.03)


def test_clipping_limits_the_norm(tiny_cfg):
    trainer = AdaptationTrainer(tiny_cfg("SOLVER.CLIP_NORM", 0.01))
    values = steps(trainer, 1)[0]
    norm = torch.stack([p.grad.norm() for p in trainer.parameters if p.grad is not None]).norm()
    assert values["gradient_norm"] > 0.1 and norm.item() == pytest.approx(0.01, rel=1e-3)


def test_momentum_sgd_equals_torchs_plain_sgd(tiny_cfg):
    """Starting the momentum buffers at zero must not change the first step."""
    cfg = tiny_cfg("SOLVER.OPTIMIZER", "SGD", "SOLVER.CLIP_NORM", 0.0, "DATASETS.TARGET", (), "SOLVER.WARMUP_ITERS", 0)
    trainer = AdaptationTrainer(cfg)
    name, parameter = next((n, p) for n, p in trainer.core.student.named_parameters() if "lateral" in n)
    plain = torch.nn.Parameter(parameter.detach().clone())
    group = next(g for g in trainer.optimizers["optimizer"].param_groups if any(p is parameter for p in g["params"]))
    reference = torch.optim.SGD([plain], lr=group["lr"], momentum=group["momentum"], weight_decay=group["weight_decay"])
    for _ in range(3):
        steps(trainer, 1)
        plain.grad = parameter.grad.clone()
        reference.step()
        torch.testing.assert_close(parameter.detach(), plain.detach())
