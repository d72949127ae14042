import logging
import math
from types import SimpleNamespace

import pytest
import torch
from detectron2.utils.events import EventStorage

from mic_det.checkpoint import files
from mic_det.engine import AdaptationTrainer, hooks
from mic_det.engine.optimizer import clip_gradients, gradient_norm, scale_to_batch
from mic_det.errors import UserError
from mic_det.tasks.watches import PixelLabelWatch, PseudoBoxWatch


def watch(values, collapse=30, runaway=3.0, burn_in=0):
    """Feed (iteration, pseudo boxes) at a source density of 4 to the watch; returns its warnings."""
    hook = PseudoBoxWatch(collapse, runaway, burn_in)
    with EventStorage() as storage:
        hook.trainer = SimpleNamespace(storage=storage, start_iter=0)
        hook.before_train()
        for iteration, boxes in values:
            storage.iter = iteration
            storage.put_scalar("pseudo_boxes_per_image", boxes)
            storage.put_scalar("source_boxes_per_image", 4.0)
            hook.after_step()


def test_collapse_is_reported_once_until_it_recovers(caplog):
    with caplog.at_level(logging.WARNING):
        watch([(i, 0.0) for i in range(0, 100, 10)] + [(100, 1.0)] + [(i, 0.0) for i in range(110, 200, 10)])
    assert [record.message.split(":")[0] for record in caplog.records] == ["No pseudo box was found for 30 iterations"] * 2


def test_runaway_is_reported(caplog):
    with caplog.at_level(logging.WARNING):
        watch([(0, 11.0), (10, 13.0), (20, 14.0)])
    assert [record.message[:42] for record in caplog.records] == ["13.0 pseudo boxes per target image against"]


def test_silence_during_burn_in(caplog):
    with caplog.at_level(logging.WARNING):
        watch([(i, 0.0) for i in range(500, 525, 5)], burn_in=500)
    assert not caplog.records


def watch_pixels(values):
    """Feed (iteration, quality, share of the most frequent label) to the watch."""
    hook = PixelLabelWatch(collapse_iters=30, largest_share=0.9, burn_in=0)
    with EventStorage() as storage:
        hook.trainer = SimpleNamespace(storage=storage, start_iter=0)
        hook.before_train()
        for iteration, quality, share in values:
            storage.iter = iteration
            storage.put_scalar("pseudo_quality", quality)
            storage.put_scalar("pseudo_largest_share", share)
            hook.after_step()


def test_unsure_pixels_are_reported_once_until_they_recover(caplog):
    unsure, sure = [(i, 0.005, 0.4) for i in range(0, 60, 10)], [(60, 0.3, 0.4)]
    watch_pixels(unsure + sure + [(i + 70, quality, share) for i, quality, share in unsure])
    assert [record.message.split(":")[0] for record in caplog.records] == [
        "At most 1 % of the target's pixels were confident for 30 iterations"
    ] * 2


def test_one_class_everywhere_is_reported(caplog):
    watch_pixels([(0, 0.8, 0.6), (10, 0.9, 0.93), (20, 0.9, 0.95)])
    assert [record.message[:50] for record in caplog.records] == ["93% of the target's pixels get the same class: pse"]


def test_best_checkpoint_is_kept_only_when_asked_and_says_what_it_costs(tiny_cfg, tmp_path, monkeypatch):
    (tmp_path / "run").mkdir()
    scores = iter([10.0, 30.0, 20.0])
    monkeypatch.setattr(
        hooks, "evaluate", lambda task, cfg, model, iteration: {"teacher/toycity_val": {"AP50": next(scores), "AP": math.nan}}
    )
    cfg = tiny_cfg(
        *("SOLVER.MAX_ITER", 3, "TEST.EVAL_PERIOD", 1, "CHECKPOINT.BEST_ON", "teacher/toycity_val/AP50", "DATASETS.TARGET", ())
    )
    monkeypatch.setattr(hooks.Report, "after_step", lambda self: None)
    AdaptationTrainer(cfg).train()
    best = files.load(tmp_path / "run/model_best_selected_on_target_labels.pth")
    assert best["iteration"] == 1 and best["best"] == 30.0
    assert files.load(files.last_checkpoint(tmp_path / "run"))["iteration"] == 2


def test_a_resumed_run_remembers_its_best(tiny_cfg, tmp_path, monkeypatch):
    (tmp_path / "run").mkdir()
    scores = iter([30.0, 10.0, 20.0])
    monkeypatch.setattr(hooks, "evaluate", lambda task, cfg, model, iteration: {"teacher/toycity_val": {"AP50": next(scores)}})
    monkeypatch.setattr(hooks.Report, "after_step", lambda self: None)
    options = (
        "SOLVER.CHECKPOINT_PERIOD",
        1,
        "TEST.EVAL_PERIOD",
        1,
        "CHECKPOINT.BEST_ON",
        "teacher/toycity_val/AP50",
        "DATASETS.TARGET",
        (),
    )
    AdaptationTrainer(tiny_cfg(*options, "SOLVER.MAX_ITER", 2)).train()
    again = AdaptationTrainer(tiny_cfg(*options, "SOLVER.MAX_ITER", 3))
    again.resume()
    again.train()
    assert files.load(tmp_path / "run/model_best_selected_on_target_labels.pth")["iteration"] == 0


def test_a_class_that_the_best_metric_does_not_have_is_named(tiny_cfg, tmp_path, monkeypatch):
    (tmp_path / "run").mkdir()
    monkeypatch.setattr(hooks, "evaluate", lambda task, cfg, model, iteration: {"teacher/toycity_val": {"AP50": 1.0}})
    best = "teacher/toycity_val/AP50/cow"
    cfg = tiny_cfg("SOLVER.MAX_ITER", 1, "CHECKPOINT.BEST_ON", best, "DATASETS.TARGET", ())
    with pytest.raises(UserError, match=rf"'{best}' is not one of the metrics, e\.g\. teacher/toycity_val/AP50"):
        AdaptationTrainer(cfg).train()


def test_published_learning_rates(tiny_cfg):
    """The table of the detection spec: warm-up from a third, decays by 10 at 30,000 and 40,000."""
    from detectron2.solver import build_lr_scheduler

    from mic_det.config import load_config
    from tests.conftest import REPOSITORY

    cfg = load_config(REPOSITORY / "configs/cs2foggy.yaml")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=cfg.SOLVER.BASE_LR)
    multiplier = build_lr_scheduler(cfg, optimizer)._multiplier
    rate = {t: cfg.SOLVER.BASE_LR * multiplier(t / cfg.SOLVER.MAX_ITER) for t in (0, 250, 500, 29999, 30000, 39999, 40000, 59999)}
    expected = {0: 8.33e-4, 250: 1.67e-3, 500: 2.5e-3, 29999: 2.5e-3, 30000: 2.5e-4, 39999: 2.5e-4, 40000: 2.5e-5, 59999: 2.5e-5}
    assert rate == pytest.approx(expected, rel=5e-3)


def test_scaling_to_the_batch(tiny_cfg, caplog):
    cfg = tiny_cfg(
        *("SOLVER.IMS_PER_BATCH", 8, "SOLVER.REFERENCE_IMS_PER_BATCH", 2, "SOLVER.BASE_LR", 0.01, "SOLVER.MAX_ITER", 1000),
        *("SOLVER.STEPS", (400, 800), "SOLVER.WARMUP_ITERS", 100, "MODEL.MIC.BURN_IN", 200, "MODEL.MIC.TEACHER.ALPHA", 0.9),
    )
    with caplog.at_level(logging.INFO):
        scaled = scale_to_batch(cfg)
    assert pytest.approx(0.04) == scaled.SOLVER.BASE_LR
    assert (scaled.SOLVER.MAX_ITER, scaled.SOLVER.STEPS, scaled.SOLVER.WARMUP_ITERS, scaled.MODEL.MIC.BURN_IN) == (
        250,
        (100, 200),
        25,
        50,
    )
    assert pytest.approx(0.9**4) == scaled.MODEL.MIC.TEACHER.ALPHA
    assert "Scaled from 2 to 8 source images" in caplog.text
    assert cfg.SOLVER.MAX_ITER == 1000 and scale_to_batch(scaled).SOLVER.MAX_ITER == 250


def test_gradient_norm_and_clipping_equal_torch():
    torch.manual_seed(0)
    layers = [torch.nn.Parameter(torch.randn(4, 5)), torch.nn.Parameter(torch.randn(7)), torch.nn.Parameter(torch.randn(2))]
    for layer in layers[:2]:
        layer.grad = torch.randn_like(layer)
    copies = [layer.grad.clone() for layer in layers[:2]]
    norm = gradient_norm(layers)
    clip_gradients(layers, norm, 0.5)
    for layer, copy in zip(layers, copies, strict=False):
        clipped = layer.grad.clone()
        layer.grad = copy
        copy.clipped = clipped
    expected = torch.nn.utils.clip_grad_norm_(layers, 0.5)
    torch.testing.assert_close(norm, expected)
    for layer, copy in zip(layers, copies, strict=False):
        torch.testing.assert_close(layer.grad, copy.clipped)
    layers[0].grad[0, 0] = float("inf")
    assert not torch.isfinite(gradient_norm(layers))
