"""The trainer: one adaptation step, numbered like design and paper, and everything a run needs around it."""

import contextlib
import logging
import time
from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.engine import TrainerBase, create_ddp_model
from detectron2.modeling import build_model
from detectron2.utils import comm
from detectron2.utils.events import EventStorage

from mic_det.adaptation import AdaptationBatch
from mic_det.checkpoint import files
from mic_det.checkpoint.weights import load_exactly, load_weights
from mic_det.config import complete
from mic_det.data.build import build_stream, check_batches
from mic_det.data.stream import Stream, seeded
from mic_det.engine import burn_in
from mic_det.engine.agreement import warn_of_other_settings
from mic_det.engine.checks import check_config
from mic_det.engine.hooks import build_hooks
from mic_det.engine.meters import Meters
from mic_det.engine.optimizer import (
    build_optimizers,
    clip_gradients,
    gradient_norm,
    kind_of,
    parameter_names,
    restore_optimizer,
)
from mic_det.engine.setup import fit_to_machine
from mic_det.engine.sharpness import SharpnessAware, build_sharpness
from mic_det.engine.trackers import check_trackers
from mic_det.errors import UserError
from mic_det.evaluation import check_evaluation
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

    def __init__(self, cfg: CfgNode, download: bool = False) -> None:
        super().__init__()
        cfg = complete(cfg)
        check_config(cfg)
        check_trackers(cfg)
        self.cfg = cfg = fit_to_machine(cfg)
        self.task = task_of(cfg)
        self.task.check_datasets(cfg)
        check_evaluation(self.task, cfg)
        check_batches(cfg, self.task.smallest_batch, self.task.pairs_images(cfg))
        warn_of_other_settings(cfg, cfg.MODEL.WEIGHTS)
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
        self.source_stream: Stream | None = None
        self.target_stream: Stream | None = None
        self.register_hooks(build_hooks(self))

    # The step -----------------------------------------------------------------------------------------------------

    def run_step(self) -> None:
        """Take one optimizer step: SOLVER.ACCUMULATE micro-batches, each in one or more passes."""
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
                batches = [self.parts(self.next_batch()) for _ in range(self.cfg.SOLVER.ACCUMULATE)]
                self.accumulate_sharp(batches, self.sharpness)
            self.step_optimizer()
        except FloatingPointError:  # detectron2 refuses proposals that are not finite
            if comm.get_world_size() > 1:  # the other processes are waiting for this one's gradients
                raise
            self.meters.count_bad_step(1.0)
        self.meters.add({"time": time.perf_counter() - start})

    def parts(self, batch: AdaptationBatch) -> list[Any]:
        """What the model's `forward` takes one after the other for a micro-batch."""
        with self.autocast():
            return self.core.parts(batch)

    def accumulate(self, micro_batches: Iterable[list[Any]]) -> None:
        """Add the gradients of an iteration's micro-batches, each a list of parts."""
        for number, parts in enumerate(micro_batches, start=1):
            losses = {}
            for index, part in enumerate(parts, start=1):
                # DDP reduces gradients after the last part of the last micro-batch.
                with self.synchronised(number == self.cfg.SOLVER.ACCUMULATE and index == len(parts)):
                    losses.update(self.backward(part))
            self.meters.add({"total_loss": sum(losses.values()), **losses, **self.core.diagnostics})

    def accumulate_sharp(self, micro_batches: list[list[Any]], sharpness: SharpnessAware) -> None:
        """The same at the sharpest point nearby: gradients at the weights lead there, and are then taken anew."""
        last = len(micro_batches)
        for number, parts in enumerate(micro_batches, start=1):
            for index, part in enumerate(parts, start=1):
                with self.synchronised(number == last and index == len(parts)):
                    self.backward(self.core.ascent(part))
        with sharpness.ascended():
            self.accumulate(micro_batches)

    def backward(self, part: Any) -> dict[str, torch.Tensor]:
        """Add the gradient of one part of a micro-batch; returns its detached losses."""
        # 2.-5. Teacher labels, masking and all student passes happen inside the one wrapped forward, or, to save memory, one
        # student pass in each.
        with self.autocast():
            losses = self.model(part)
            total = sum(losses.values())
        # 6. The trainer only sums, back-propagates and steps.
        self.scaler.scale(total / self.cfg.SOLVER.ACCUMULATE).backward()
        return {name: loss.detach() for name, loss in losses.items()}

    def autocast(self) -> AbstractContextManager:
        """Inside, passes compute in SOLVER.AMP.DTYPE when AMP is on."""
        return torch.autocast(self.core.device.type, self.amp_type, enabled=self.amp_type is not None)

    def step_optimizer(self) -> None:
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
                optimizer.found_inf = bad  # type: ignore[attr-defined]  # read by torch's fused steps, declared nowhere
                optimizer.step()
        if self.scaler.is_enabled():
            self.scaler.update()
        self.meters.count_bad_step(bad)
        self.meters.add({"gradient_norm": norm})

    def synchronised(self, last: bool) -> AbstractContextManager:
        """Under DDP, reduce gradients only after the last part of an iteration."""
        return contextlib.nullcontext() if last or self.model is self.core else self.model.no_sync()

    def next_batch(self) -> AdaptationBatch:
        """Read source samples and, while the run adapts, target samples. Raises UserError when a process that reads them dies."""
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

    def open_stream(self, labelled: bool) -> Stream:
        """The source's (`labelled`) or the target's samples from this iteration on."""
        return build_stream(self.cfg, self.task.training_data(self.cfg, labelled), labelled, self.iter)

    @property
    def adapts(self) -> bool:
        """Whether this iteration learns from the target: there is one, and burn-in is over."""
        return bool(self.cfg.DATASETS.TARGET) and self.iter >= self.cfg.MODEL.MIC.BURN_IN

    @property
    def unreadable(self) -> int:
        """Files of either domain that could not be read so far, in this process."""
        return sum(len(stream.unreadable) for stream in (self.source_stream, self.target_stream) if stream is not None)

    # The run ------------------------------------------------------------------------------------------------------

    def train(self) -> None:
        """Run the iterations from `start_iter` to `max_iter`; an exception is logged before it goes on."""
        if self.start_iter >= self.max_iter:
            logger.info("All %d iterations are done already.", self.max_iter)
            return
        with EventStorage(self.start_iter) as self.storage:
            try:
                self.before_train()
                for iteration in range(self.start_iter, self.max_iter):
                    self.iter = iteration
                    self.before_step()
                    self.run_step()
                    self.after_step()
                self.iter += 1
            except UserError:
                raise  # its sentence says it all
            except Exception:
                logger.exception("Training ended at iteration %d:", self.iter)
                raise
            finally:
                self.after_train()

    def checkpoint(self) -> dict[str, Any]:
        """All that a run needs to go on: tensors and plain values."""
        steps: dict[str, Any] = {**self.optimizers, **self.schedulers}
        return {
            "model": self.core.state_dict(),
            "parameters": {name: parameter_names(part, self.core) for name, part in self.optimizers.items()},
            **{name: part.state_dict() for name, part in steps.items()},
            "scaler": self.scaler.state_dict(),
            "meters": self.meters.state_dict(),
            "student": self.core.running_state(),
            "iteration": self.iter,
        }

    def save(self, name: str) -> None:
        """Write OUTPUT_DIR/<name>.pth on the main process."""
        if comm.is_main_process():
            files.save(Path(self.cfg.OUTPUT_DIR) / f"{name}.pth", self.checkpoint())

    def resume(self) -> None:
        """Continue from OUTPUT_DIR's last checkpoint; start from the beginning when there is none.

        Learning rates and all other settings are this trainer's config's, whatever they were before.

        Raises:
            UserError: when the checkpoint does not fit the model or the optimizer, or has done more than SOLVER.MAX_ITER.
        """
        path = files.last_checkpoint(self.cfg.OUTPUT_DIR)
        if path is None:
            logger.info("Nothing to resume in %s: starting from the beginning.", self.cfg.OUTPUT_DIR)
            return
        content = files.load(path)
        files.check_run(content, path, ["scaler", "meters", *self.optimizers, *self.schedulers])
        self.check_resumable(content)
        if burn_in.lacks_classifiers(content, self):
            burn_in.add_classifiers(content, self)
        load_exactly(self.core, content["model"], path)
        self.meters.load_state_dict(content["meters"])
        if self.scaler.is_enabled() and content["scaler"]:
            self.scaler.load_state_dict(content["scaler"])
        self.restore_optimizers(content)
        vars(self.core.student).update(content.get("student", {}))
        self.start_iter = content["iteration"] + 1
        if self.start_iter % self.cfg.LOG.PERIOD == 0:
            self.meters.read()  # these values are in the log already
        self.iter = content["iteration"]
        logger.info("Resuming from %s at iteration %d.", path, self.start_iter)

    def check_resumable(self, content: dict[str, Any]) -> None:
        """Raise UserError unless a checkpoint is of this kind of optimizer and within SOLVER.MAX_ITER."""
        done, folder = content["iteration"] + 1, self.cfg.OUTPUT_DIR
        if done > self.max_iter:
            raise UserError(
                f"SOLVER.MAX_ITER is {self.max_iter}, but the run in {folder} has done {done} iterations already: set it higher "
                "to go on, or begin a run in another OUTPUT_DIR."
            )
        kinds = [kind_of(groups) for groups in (content["optimizer"]["param_groups"], self.optimizers["optimizer"].param_groups)]
        if kinds[0] != kinds[1]:
            raise UserError(
                f"SOLVER.OPTIMIZER is {kinds[1]}, but the run in {folder} goes on with {kinds[0]}: set it back, or begin a "
                "run in another OUTPUT_DIR with MODEL.WEIGHTS set to its last checkpoint."
            )

    def restore_optimizers(self, content: dict[str, Any]) -> None:
        """Load what the optimizers remember and where the schedules are; the rates themselves are the config's."""
        for name, optimizer in self.optimizers.items():
            own = parameter_names(optimizer, self.core)
            # Checkpoints without names are in this order, but may lack what comes last.
            restore_optimizer(optimizer, content[name], content.get("parameters", {}).get(name, own), own)
        for optimizer, (name, scheduler) in zip(self.optimizers.values(), self.schedulers.items(), strict=True):
            scheduler.last_epoch = content[name]["last_epoch"]
            for group, rate in zip(optimizer.param_groups, scheduler.get_lr(), strict=True):
                group["lr"] = rate


def seed_iteration(seed: int, iteration: int) -> None:
    """Seed torch for one iteration on one process. Numpy and python are seeded per sample, by the stream."""
    sequence = np.random.SeedSequence((seed, STEP_STREAM, iteration, comm.get_rank()))
    torch.manual_seed(int(sequence.generate_state(1, dtype=np.uint64)[0]) >> 1)
