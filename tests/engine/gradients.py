"""Takes one training step, possibly as one of several torchrun processes, and saves the gradients: used by test_distributed."""

import sys

import torch
from detectron2.utils import comm
from detectron2.utils.events import EventStorage

import mic_det
from mic_det.engine import AdaptationTrainer
from mic_det.engine.launch import launch


def spread_scores(core):
    """Give an untrained detector's nearly equal scores some distance, so that rounding does not reorder them."""
    torch.manual_seed(0)
    for layer in (core.student.roi_heads.box_predictor.cls_score, core.student.proposal_generator.rpn_head.objectness_logits):
        torch.nn.init.normal_(layer.weight, std=1.0)
    core.teacher.copy_from(core.student)


def freeze_statistics(core):
    """Let batch normalisation use its running statistics: those of a batch depend on how images are grouped."""
    for module in core.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.train = lambda mode=True, module=module: module
            module.training = False


def step(config_file, output, overrides):
    torch.set_num_threads(1)
    trainer = AdaptationTrainer(mic_det.load_config(config_file, overrides))
    if trainer.cfg.MODEL.META_ARCHITECTURE == "MaskedConsistencyDetector":
        spread_scores(trainer.core)
    if trainer.cfg.MODEL.META_ARCHITECTURE == "MaskedConsistencyClassifier":
        freeze_statistics(trainer.core)
    with EventStorage() as trainer.storage:
        trainer.run_step()
    gradients = {name: p.grad for name, p in trainer.core.student.named_parameters() if p.grad is not None}
    if comm.is_main_process():
        torch.save({"gradients": gradients, "world": comm.get_world_size(), "means": trainer.meters.read()}, output)


if __name__ == "__main__":
    launch(step, args=(sys.argv[1], sys.argv[2], sys.argv[3:]))
