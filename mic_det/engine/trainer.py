"""The trainer: one adaptation step, numbered like design and paper, and everything a run needs around it."""

import contextlib
import json
import logging
import time
from pathlib import Path

import numpy as np
import torch
from detectron2.engine import TrainerBase, create_ddp_model
from detectron2.modeling import build_model
from detectron2.utils import comm

from mic_det.adaptation import AdaptationBatch
from mic_det.checkpoint import files
from mic_det.checkpoint.weights import load_exactly, load_weights
from mic_det.data.build import build_stream, check_batches
from mic_det.data.stream import seeded
from mic_det.engine import burn_in
from mic_det.engine.checks import check_config
from mic_det.engine.hooks import build_hooks
from mic_det.engine.meters import Meters
from mic_det.engine.optimizer import build_optimizers, clip_gradients, gradient_norm
from mic_det.engine.setup import fit_to_machine
from mic_det.engine.sharpness import build_sharpness
from mic_det.errors import UserError
from mic_det.tasks import task_of

logger = logging.getLogger(__name__)
AMP_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
STEP_STREAM = 2


class AdaptationTrainer(TrainerBase):
    """Trains a student on labelled source and masked, pseudo-labelled target images.

    MIC, mean teacher (mask ratio 0), source-only and oracle (no DATASETS.TARGET) are configurations of this one path.

    Everything random in an iteration is a function of (SEED, iteration, rank), so a resumed run repeats an uninterrupted
    one exactly.

    Attributes:
        model: the possibly DDP-wrapped meta-architecture; `core` is the same without the wrapper.
        task: Task that it serves.
        optimizers, schedulers: by the name in checkpoints; one each for the student and, if there is one, its discriminator.
        unreadable: files of either domain that could not be read so far, in this process.
    """

    def __init__(self, cfg, download=False):
        super().__init__()
        check_config(cfg)
        self.cfg = cfg = fit_to_machine(cfg)
        self.task = task_of(cfg)
        self.task.check_datasets(cfg)
        check_batches(cfg, self.task.smallest_batch, self.task.pairs_images(cfg))
        with seeded(cfg.SEED):
            self.core = build_model(cfg)
        if "feature_distance" in load_weights(self.core, cfg.MODEL.WEIGHTS, download, cfg.MODEL.WEIGHTS_PARTIAL):
            raise UserError(
                f"MODEL.WEIGHTS: {cfg.MODEL.WEIGHTS} holds no ImageNet features to measure distances to: start from the "
                "encoder's own file, or set MODEL.MIC.FEATURE_DISTANCE.WEIGHT 0."
            )
        self.core.train()
        self.optimizers, self.schedulers = build_optimizers(cfg, self.core)
        self.sharpness = build_sharpness(cfg, self.core)
        devices = [self.core.device.index or 0] if self.core.device.type == "cuda" else None
        # Domain classifiers and discriminators have no gradient before adaptation begins.
        unused = self.core.has_idle_parts
        self.model = create_ddp_model(self.core, broadcast_buffers=False, device_ids=devices, find_unused_parameters=unused)
        self.parameters = [p for p in self.core.parameters() if p.requires_grad]
        self.amp_type = AMP_TYPES[cfg.SOLVER.AMP.DTYPE] if cfg.SOLVER.AMP.ENABLED else None
        self.scaler = torch.amp.GradScaler(self.core.device.type, enabled=self.amp_type is torch.float16)
        self.meters = Meters(self.core.device)
        self.start_iter, self.max_iter = 0, cfg.SOLVER.MAX_ITER
        self.source_stream = self.target_stream = None
        self.register_hooks(build_hooks(self))

    # The step -----------------------------------------------------------------------------------------------------

    def run_step(self):
        start = time.perf_counter()
        seed_iteration(self.cfg.SEED, self.iter)
        # 1. The teacher moves towards the student.
        self.core.update_teacher(self.iter, self.adapts)
        for optimizer in self.optimizers.values():
            optimizer.zero_grad(set_to_none=True)
        try:
            if self.sharpness is None:
                self.accumulate(self.parts(self.next_batch()) for _ in range(self.cfg.SOLVER.ACCUMULATE))
            else:
                self.accumulate_sharp([self.parts(self.next_batch()) for _ in range(self.cfg.SOLVER.ACCUMULATE)])
            self.step_optimizer()
        except FloatingPointError:  # detectron2 refuses proposals that are not finite
            if comm.get_world_size() > 1:  # the other processes are waiting for this one's gradients
                raise
            self.meters.count_bad_step(1.0)
        self.meters.add({"time": time.perf_counter() - start})

    def parts(self, batch):
        with self.autocast():
            return self.core.parts(batch)

    def accumulate(self, micro_batches):
        """Add the gradients of an iteration's micro-batches, each a list of parts."""
        for number, parts in enumerate(micro_batches, start=1):
            losses = {}
            for index, part in enumerate(parts, start=1):
                # DDP reduces gradients after the last part of the last micro-batch.
                with self.synchronised(number == self.cfg.SOLVER.ACCUMULATE and index == len(parts)):
                    losses.update(self.backward(part))
            self.meters.add({"total_loss": sum(losses.values()), **losses, **self.core.diagnostics})

    def accumulate_sharp(self, micro_batches):
        """The same at the sharpest point nearby: gradients at the weights lead there, and are then taken anew."""
        last = len(micro_batches)
        for number, parts in enumerate(micro_batches, start=1):
            for index, part in enumerate(parts, start=1):
                with self.synchronised(number == last and index == len(parts)):
                    self.backward(self.core.ascent(part))
        with self.sharpness.ascended():
            self.accumulate(micro_batches)

    def backward(self, part):
        """Add the gradient of one part of a micro-batch; returns its detached losses."""
        # 2.-5. Teacher labels, masking and all student passes happen inside the one wrapped forward, or, to save memory, one
        # student pass in each.
        with self.autocast():
            losses = self.model(part)
            total = sum(losses.values())
        # 6. The trainer only sums, back-propagates and steps.
        self.scaler.scale(total / self.cfg.SOLVER.ACCUMULATE).backward()
        return {name: loss.detach() for name, loss in losses.items()}

    def autocast(self):
        return torch.autocast(self.core.device.type, self.amp_type, enabled=self.amp_type is not None)

    def step_optimizer(self):
        """Take the step unless a gradient is not finite; the decision stays on the device."""
        optimizers = self.optimizers.values()
        if self.scaler.is_enabled():
            for optimizer in optimizers:
                self.scaler.unscale_(optimizer)
        norm = gradient_norm(self.parameters)
        if self.cfg.SOLVER.CLIP_NORM > 0:
            clip_gradients(self.parameters, norm, self.cfg.SOLVER.CLIP_NORM)
        bad = (~torch.isfinite(norm)).float()
        for optimizer in optimizers:
            if self.scaler.is_enabled():
                self.scaler.step(optimizer)
            else:
                optimizer.found_inf = bad
                optimizer.step()
        if self.scaler.is_enabled():
            self.scaler.update()
        self.meters.count_bad_step(bad)
        self.meters.add({"gradient_norm": norm})

    def synchronised(self, last):
        """Under DDP, reduce gradients only after the last part of an iteration."""
        return contextlib.nullcontext() if last or self.model is self.core else self.model.no_sync()

    def next_batch(self):
        start = time.perf_counter()
        if self.source_stream is None:
            self.source_stream = self.open_stream(labelled=True)
        target = []
        if self.adapts:
            if self.target_stream is None:
                self.target_stream = self.open_stream(labelled=False)
            target = next(self.target_stream)
        batch = AdaptationBatch(next(self.source_stream), target)
        self.meters.add({"data_time": time.perf_counter() - start})
        return batch

    def open_stream(self, labelled):
        return build_stream(self.cfg, self.task.training_data(self.cfg, labelled), labelled, self.iter)

    @property
    def adapts(self):
        return bool(self.cfg.DATASETS.TARGET) and self.iter >= self.cfg.MODEL.MIC.BURN_IN

    @property
    def unreadable(self):
        return sum(len(stream.unreadable) for stream in (self.source_stream, self.target_stream) if stream)

    # The run ------------------------------------------------------------------------------------------------------

    def train(self):
        if self.start_iter >= self.max_iter:
            logger.info("All %d iterations are done already.", self.max_iter)
            return
        super().train(self.start_iter, self.max_iter)

    def checkpoint(self):
        """All that a run needs to go on: tensors and plain values."""
        return {
            "model": self.core.state_dict(),
            **{name: part.state_dict() for name, part in (*self.optimizers.items(), *self.schedulers.items())},
            "scaler": self.scaler.state_dict(),
            "meters": self.meters.state_dict(),
            "student": self.core.running_state(),
            "iteration": self.iter,
        }

    def save(self, name):
        """Write OUTPUT_DIR/<name>.pth on the main process."""
        if comm.is_main_process():
            files.save(Path(self.cfg.OUTPUT_DIR) / f"{name}.pth", self.checkpoint())

    def resume(self):
        """Continue from OUTPUT_DIR's last checkpoint; start from the beginning when there is none."""
        path = files.last_checkpoint(self.cfg.OUTPUT_DIR)
        if path is None:
            logger.info("Nothing to resume in %s: starting from the beginning.", self.cfg.OUTPUT_DIR)
            return
        content = files.load(path)
        files.check_run(content, path, ["scaler", "meters", *self.optimizers, *self.schedulers])
        if burn_in.lacks_classifiers(content, self):
            burn_in.add_classifiers(content, self)
        load_exactly(self.core, content["model"], path)
        parts = {"scaler": self.scaler, "meters": self.meters, **self.optimizers, **self.schedulers}
        for name, part in parts.items():
            part.load_state_dict(content[name])
        for optimizer, scheduler in zip(self.optimizers.values(), self.schedulers.values(), strict=True):
            for group, rate in zip(optimizer.param_groups, scheduler.get_lr(), strict=True):
                group["lr"] = rate
        vars(self.core.student).update(content.get("student", {}))
        self.start_iter = content["iteration"] + 1
        if self.start_iter % self.cfg.LOG.PERIOD == 0:
            self.meters.read()  # these values are in the log already
        self.iter = content["iteration"]
        if comm.is_main_process():
            forget_metrics_after(Path(self.cfg.OUTPUT_DIR) / "metrics.json", content["iteration"])
        logger.info("Resuming from %s at iteration %d.", path, self.start_iter)


def seed_iteration(seed, iteration):
    """Seed torch for one iteration on one process. Numpy and python are seeded per sample, by the stream."""
    sequence = np.random.SeedSequence((seed, STEP_STREAM, iteration, comm.get_rank()))
    torch.manual_seed(int(sequence.generate_state(1, dtype=np.uint64)[0] >> 1))


def forget_metrics_after(path, iteration):
    """Drop the lines a killed run logged after its last checkpoint: they are about to be written again."""
    if not path.is_file():
        return
    lines = [line for line in path.read_text().splitlines() if line.endswith("}") and json.loads(line)["iteration"] <= iteration]
    files.write_atomically(path, lambda temporary: temporary.write_text("".join(line + "\n" for line in lines)))
