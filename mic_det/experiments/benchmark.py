"""How long a training step takes, where the time goes, and how far it is from the network passes alone."""

import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.utils.events import EventStorage

from mic_det.engine.trainer import AdaptationTrainer


def clock(device: torch.device) -> float:
    """Seconds, after all that the device was told to do is done."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def once(function: Callable[[], Any], device: torch.device) -> float:
    """Seconds that one call takes."""
    start = clock(device)
    function()
    return clock(device) - start


class StepParts:
    """The parts of one training step, each callable alone on one batch."""

    def __init__(self, trainer: AdaptationTrainer) -> None:
        self.trainer = trainer
        self.batch = trainer.next_batch()
        for optimizer in trainer.optimizers.values():
            optimizer.zero_grad(set_to_none=True)
        self.passes = trainer.task.step_parts(trainer.core, self.batch)

    def functions(self) -> dict[str, Callable[[], Any]]:
        """{name: part}, in the order of a step."""
        trainer, core = self.trainer, self.trainer.core
        return {
            **{name: partial(self.run, function) for name, function in self.passes.items()},
            "data": trainer.next_batch,
            "EMA": lambda: core.update_teacher(1),
            **trainer.task.step_extras(core, self.batch),
            "optimizer": trainer.step_optimizer,
        }

    def run(self, function: Callable[[], Any]) -> None:
        """A network pass; losses, of which there are none without pseudo boxes, are back-propagated."""
        with self.trainer.autocast():
            losses = function()
        if isinstance(losses, dict) and losses:
            torch.autograd.backward(tuple(losses.values()))


def run_benchmark(cfg: CfgNode, steps: int = 20, warmup: int = 5) -> dict[str, Any]:
    """Time whole steps and their parts, interleaved so that drifts of the machine hit both alike.

    Returns a dict of medians in seconds: "step", "parts", "floor" (the sum of the network passes), "ratio" (step / floor),
    "images_per_second", "network" (the names of those passes), "diagnostics" of the last step and, on a GPU, "peak_memory_mib".
    """
    trainer = AdaptationTrainer(cfg)
    trainer.iter = cfg.MODEL.MIC.BURN_IN
    device = trainer.core.device
    with EventStorage() as trainer.storage:
        rounds = []
        for _ in range(warmup + steps):
            measured = {"step": once(trainer.run_step, device)}
            parts = StepParts(trainer)  # a new batch each time, as in training
            measured |= {name: once(function, device) for name, function in parts.functions().items()}
            rounds.append(measured)
    medians = {name: statistics.median(entry[name] for entry in rounds[warmup:]) for name in rounds[0]}
    step = medians.pop("step")
    floor = sum(medians[name] for name in parts.passes)
    images = cfg.SOLVER.IMS_PER_BATCH + cfg.SOLVER.TARGET_IMS_PER_BATCH
    result: dict[str, Any] = {
        "step": step,
        "parts": medians,
        "floor": floor,
        "ratio": step / floor,
        "images_per_second": images / step,
    }
    result["network"] = list(parts.passes)
    result["diagnostics"] = {name: float(value) for name, value in trainer.core.diagnostics.items()}
    if device.type == "cuda":
        result["peak_memory_mib"] = torch.cuda.max_memory_allocated() / 2**20
    return result
