"""How long a training step takes, where the time goes, and how far it is from the network passes alone."""

import statistics
import time

import torch
from detectron2.utils.events import EventStorage

from mic_det.engine.trainer import AdaptationTrainer

NETWORK = ("teacher forward", "student source forward+backward", "student masked forward+backward")


def clock(device):
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def once(function, device):
    start = clock(device)
    function()
    return clock(device) - start


class StepParts:
    """The parts of one training step, each callable alone on one batch."""

    def __init__(self, trainer):
        self.trainer = trainer
        self.core = trainer.core
        self.batch = trainer.next_batch()
        trainer.optimizer.zero_grad(set_to_none=True)
        self.images = self.core.student.preprocess_image(self.batch.target)
        self.labels = self.core.pseudo_labels(self.core.teacher_predictions(self.images))
        self.pseudo_boxes = sum(len(label.instances) for label in self.labels) / len(self.labels)

    def functions(self):
        trainer, core, images = self.trainer, self.core, self.images
        return {
            "teacher forward": lambda: core.teacher_predictions(images),
            "student source forward+backward": lambda: self.backward(self.source_losses()),
            "student masked forward+backward": lambda: self.backward(core.pseudo_box_losses(images, self.labels)),
            "data": trainer.next_batch,
            "EMA": lambda: core.update_teacher(1),
            "mask and jitter": lambda: core.consistency.view(images.tensor),
            "mask": lambda: core.consistency.mask(images.tensor),
            "optimizer": trainer.step_optimizer,
        }

    def source_losses(self):
        """With alignment, this pass takes the target's features along."""
        core, source = self.core, self.batch.source
        return core.student(source) if core.alignment is None else core.aligned_losses(source, self.images)

    def backward(self, losses):
        with torch.autocast(self.core.device.type, self.trainer.amp_type, enabled=self.trainer.amp_type is not None):
            total = sum(losses.values())
        total.backward()


def run_benchmark(cfg, steps=20, warmup=5):
    """Time whole steps and their parts, interleaved so that drifts of the machine hit both alike.

    Returns a dict of medians in seconds: "step", "parts", "floor" (the sum of the network passes), "ratio" (step / floor),
    "images_per_second", "pseudo_boxes_per_image" and, on a GPU, "peak_memory_mib".
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
            rounds.append({**measured, "pseudo boxes": parts.pseudo_boxes})
    medians = {name: statistics.median(entry[name] for entry in rounds[warmup:]) for name in rounds[0]}
    pseudo_boxes = medians.pop("pseudo boxes")
    step = medians.pop("step")
    floor = sum(medians[name] for name in NETWORK)
    images = cfg.SOLVER.IMS_PER_BATCH + cfg.SOLVER.TARGET_IMS_PER_BATCH
    result = {"step": step, "parts": medians, "floor": floor, "ratio": step / floor, "images_per_second": images / step}
    result["pseudo_boxes_per_image"] = pseudo_boxes
    if device.type == "cuda":
        result["peak_memory_mib"] = torch.cuda.max_memory_allocated() / 2**20
    return result
