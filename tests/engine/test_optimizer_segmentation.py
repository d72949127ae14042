"""Parameter groups and learning rates of segmentation against the published values."""

import pytest
import torch
from detectron2.modeling import META_ARCH_REGISTRY, build_model

from mic_det.config import load_config
from mic_det.engine.optimizer import build_optimizer, build_optimizers, build_scheduler


def config(name, *overrides):
    return load_config(name, overrides)


@pytest.fixture(scope="module")
def daformer():
    cfg = config("gta2cs_seg_daformer")
    with torch.device("meta"):
        return META_ARCH_REGISTRY.get("EncoderDecoder")(cfg)


def test_groups_are_the_published_ones(daformer):
    """730 encoder tensors at 6e-5 with weight decay, 322 of layer norms without, 34 of the head at ten times the rate."""
    optimizer = build_optimizer(config("gta2cs_seg_daformer"), daformer)
    sizes = {}
    for group in optimizer.param_groups:
        key = (round(group["lr"], 9), group["weight_decay"])
        sizes[key] = sizes.get(key, 0) + len(group["params"])
    # Keys and values are two tensors here and one there: 52 blocks with weight and bias more.
    assert sizes == {(6e-5, 0.01): 730 + 2 * 52, (6e-5, 0.0): 322, (6e-4, 0.01): 34}


def test_the_projection_of_text_has_the_encoders_rate():
    """Two heads: 34 and 34 tensors, two of the spatial block; weight and bias of the projection are slow."""
    cfg = config("gta2cs_seg_lcmsm", "MODEL.LANGUAGE_HEAD.TEXT_BANK", "random")
    with torch.device("meta"):
        student = META_ARCH_REGISTRY.get("EncoderDecoder")(cfg)
    groups = build_optimizer(cfg, student).param_groups
    rates = {parameter: group["lr"] for group in groups for parameter in group["params"]}
    assert sum(len(group["params"]) for group in groups if group["lr"] > 1e-4) == 2 * 34 + 2
    assert {rates[parameter] for parameter in student.language_head.text.parameters()} == {6e-5}
    assert set(rates) == set(student.parameters())


def test_rates_follow_the_published_schedule():
    cfg = config("gta2cs_seg_daformer")
    parameter = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.AdamW([parameter], lr=cfg.SOLVER.BASE_LR)
    scheduler = build_scheduler(cfg, optimizer)
    expected = {0: 6.0e-11, 750: 2.944e-5, 1500: 5.775e-5, 16549: 3.518e-5, 20000: 3.0e-5}
    for iteration, rate in expected.items():
        scheduler.last_epoch = iteration
        assert scheduler.get_lr() == pytest.approx([rate], rel=1e-3), iteration


def test_a_prolonged_run_follows_the_new_schedule():
    cfg = config("gta2cs_seg_daformer")
    longer = config("gta2cs_seg_daformer", "SOLVER.MAX_ITER", 80000)
    schedulers = [build_scheduler(c, torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=6e-5)) for c in (cfg, longer)]
    schedulers[0].last_epoch = 40000
    schedulers[1].load_state_dict(schedulers[0].state_dict())
    assert schedulers[1].get_lr() == pytest.approx([3e-5])


def test_advseg_has_its_own_optimizer_and_rate(tiny_seg_cfg):
    cfg = tiny_seg_cfg("MODEL.MIC.ADVERSARIAL.WEIGHT", 0.001, "SOLVER.MAX_ITER", 1000)
    core = build_model(cfg)
    optimizers, schedulers = build_optimizers(cfg, core)
    ids = [{id(p) for group in optimizer.param_groups for p in group["params"]} for optimizer in optimizers.values()]
    assert not ids[0] & ids[1] and ids[1] == {id(p) for p in core.discriminator.parameters()}
    scheduler = schedulers["discriminator_scheduler"]
    scheduler.last_epoch = 400
    assert scheduler.get_lr() == pytest.approx([1e-4 * 0.6**0.9])
    published, _ = build_optimizers(tiny_seg_cfg("MODEL.MIC.ADVERSARIAL.WEIGHT", 0.001, *REFERENCE), core)
    both = {id(p) for group in published["optimizer"].param_groups for p in group["params"]}
    assert ids[1] < both


REFERENCE = ("MODEL.MIC.REFERENCE.DISCRIMINATOR_STEPPED_TWICE", True)


def test_advseg_runs_have_the_published_values():
    cfg = config("gta2cs_seg_advseg")
    assert (cfg.SOLVER.OPTIMIZER, cfg.SOLVER.BASE_LR, cfg.SOLVER.MOMENTUM) == ("SGD", 0.0025, 0.9)
    assert (cfg.SOLVER.WEIGHT_DECAY, cfg.SOLVER.WEIGHT_DECAY_NORM, cfg.SOLVER.HEAD_LR_FACTOR) == (5e-4, 5e-4, 1.0)
    assert cfg.MODEL.MIC.ADVERSARIAL.WEIGHT == config("gta2cs_seg_minent").MODEL.MIC.ENTROPY.WEIGHT == 0.001
