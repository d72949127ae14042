"""What happens around the steps: schedule, evaluation, checkpoints, logging and reports."""

import logging
import math
import signal
import threading
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import torch
from detectron2.engine import HookBase, hooks
from detectron2.utils import comm
from detectron2.utils.events import JSONWriter, TensorboardXWriter

from mic_det.checkpoint import files
from mic_det.engine import records
from mic_det.engine.progress import ProgressLine
from mic_det.engine.trackers import build_trackers
from mic_det.errors import UserError
from mic_det.evaluation import evaluate
from mic_det.reporting.run_report import write_run_report

if TYPE_CHECKING:  # the trainer imports this module
    from mic_det.engine.trainer import AdaptationTrainer

logger = logging.getLogger(__name__)


def build_hooks(trainer: "AdaptationTrainer") -> list[HookBase]:
    """What a trainer does around its steps, in this order."""
    cfg = trainer.cfg
    return [
        *map(hooks.LRScheduler, trainer.optimizers.values(), trainer.schedulers.values()),
        BadStepStop(cfg.LOG.PERIOD, cfg.SOLVER.MAX_BAD_STEPS),
        # Save before evaluating: whatever happens there, the weights are safe.
        Checkpoints(cfg.SOLVER.CHECKPOINT_PERIOD, cfg.CHECKPOINT.KEEP),
        Evaluation(cfg.TEST.EVAL_PERIOD, cfg.CHECKPOINT.BEST_ON),
        Pictures(cfg.LOG.PICTURE_PERIOD),
        # Log after evaluating: the writers take each iteration once.
        Logging(cfg.LOG.PERIOD),
        *trainer.task.watches(cfg),
        Report(),
        # After the logging, which makes the folder ready.
        *([StartEvaluation()] if cfg.TEST.AT_START else []),
        # Last: an iteration that is saved has been logged.
        Interruption(),
    ]


def is_due(trainer: "AdaptationTrainer", period: int) -> bool:
    """True after every `period` iterations and after the last."""
    done = trainer.iter + 1
    return done == trainer.max_iter or (period > 0 and done % period == 0)


class Logging(HookBase):
    """Reads the meters every `period` iterations and writes the log line, metrics.json, TensorBoard and the trackers."""

    def __init__(self, period: int) -> None:
        self.period = period

    def before_train(self) -> None:
        self.writers = []
        if comm.is_main_process():
            folder, start = self.trainer.cfg.OUTPUT_DIR, self.trainer.start_iter
            records.begin(folder, start)
            self.writers = [
                ProgressLine(start, self.trainer.max_iter, self.trainer.task.progress),
                JSONWriter(str(Path(folder) / "metrics.json")),
                TensorboardXWriter(folder, purge_step=start or None),
                *build_trackers(self.trainer.cfg),
            ]

    def after_step(self) -> None:
        if not is_due(self.trainer, self.period):
            return
        storage = self.trainer.storage
        values = mean_over_processes(self.trainer.meters.read())
        values["skipped_steps"] = self.trainer.meters.bad_steps()[1]
        values["unreadable_files"] = self.trainer.unreadable
        if torch.cuda.is_available():
            values["max_memory_mib"] = torch.cuda.max_memory_allocated() / 2**20
        for name, value in values.items():
            storage.put_scalar(name, value, smoothing_hint=False)
        storage.put_scalar("lr", self.trainer.optimizers["optimizer"].param_groups[0]["lr"], smoothing_hint=False)
        for writer in self.writers:
            writer.write()

    def after_train(self) -> None:
        for writer in self.writers:
            writer.close()


def mean_over_processes(values: dict[str, float]) -> dict[str, float]:
    """Average each value over the processes that have it."""
    if comm.get_world_size() == 1:
        return values
    parts = comm.all_gather(values)
    names = dict.fromkeys(name for part in parts for name in part)
    found = {name: [part[name] for part in parts if name in part] for name in names}
    return {name: sum(numbers) / len(numbers) for name, numbers in found.items()}


class BadStepStop(HookBase):
    """Ends a run that has diverged, with everything saved."""

    def __init__(self, period: int, limit: int) -> None:
        self.period = period
        self.limit = limit

    def after_step(self) -> None:
        """Raises UserError after `limit` skipped steps in a row."""
        if not is_due(self.trainer, self.period):
            return
        in_a_row, total = self.trainer.meters.bad_steps()
        if in_a_row >= self.limit:
            self.trainer.save("model_stopped")
            raise UserError(
                f"The gradients were not finite in {in_a_row} iterations in a row ({total} in all); those steps were skipped and "
                f"the weights before them are in {self.trainer.cfg.OUTPUT_DIR}/model_stopped.pth. Lower SOLVER.BASE_LR, set "
                "SOLVER.CLIP_NORM, or turn SOLVER.AMP off."
            )


class Checkpoints(HookBase):
    """Saves every `period` iterations (`model_<iteration>.pth`, the newest `keep` stay) and at the end (`model_final.pth`)."""

    def __init__(self, period: int, keep: int) -> None:
        self.period = period
        self.keep = keep

    def before_train(self) -> None:
        if comm.is_main_process():
            files.remove_temporary(self.trainer.cfg.OUTPUT_DIR)

    def after_step(self) -> None:
        done = self.trainer.iter + 1
        if done == self.trainer.max_iter:
            self.trainer.save("model_final")
        elif self.period > 0 and done % self.period == 0:
            self.trainer.save(f"model_{done:07d}")
            if comm.is_main_process():
                files.remove_old(self.trainer.cfg.OUTPUT_DIR, self.keep)


class Interruption(HookBase):
    """Lets Ctrl-C and SIGTERM end a run after its iteration, and saves that; a second signal ends it at once."""

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def before_train(self) -> None:
        self.received = False
        self.former: dict[int, Any] = {}  # what took the signals before
        if threading.current_thread() is threading.main_thread():  # python takes signals nowhere else
            self.former = {number: signal.signal(number, self.note) or signal.SIG_DFL for number in self.SIGNALS}

    def note(self, number: int, frame: FrameType | None) -> None:
        """Remember a signal; the next one does what it did before the run."""
        self.received = True
        signal.signal(number, self.former[number])

    def after_step(self) -> None:
        """Raises KeyboardInterrupt after a signal, once the iteration is saved."""
        done = self.trainer.iter + 1
        if self.received and done < self.trainer.max_iter:
            self.trainer.save(f"model_{done:07d}")
            logger.info("Stopped by a signal after %d iterations, which are saved: --resume goes on.", done)
            raise KeyboardInterrupt

    def after_train(self) -> None:
        for number, handler in self.former.items():
            signal.signal(number, handler)


class Evaluation(HookBase):
    """Evaluates teacher and student every `period` iterations and at the end, under separate names.

    With `best_on`, the checkpoint with the highest value of that metric is also kept, as
    `model_best_selected_on_target_labels.pth`: a name that says what the selection costs.
    """

    def __init__(self, period: int, best_on: str = "") -> None:
        self.period = period
        self.best_on = best_on
        self.best = -math.inf

    @property
    def best_file(self) -> Path:
        """Where the checkpoint with the highest `best_on` is."""
        return Path(self.trainer.cfg.OUTPUT_DIR) / "model_best_selected_on_target_labels.pth"

    def before_train(self) -> None:
        if self.best_on and self.trainer.start_iter > 0 and self.best_file.exists():
            self.best = files.load(self.best_file)["best"]

    def after_step(self) -> None:
        """Raises UserError when `best_on` is none of the metrics."""
        if not is_due(self.trainer, self.period) or not self.trainer.cfg.DATASETS.TEST:
            return
        trainer = self.trainer
        results = evaluate(trainer.task, trainer.cfg, trainer.core, trainer.iter + 1)
        flat = {f"{key}/{name}": value for key, metrics in results.items() for name, value in metrics.items()}
        for name, value in flat.items():
            if not math.isnan(value):
                trainer.storage.put_scalar(name, value, smoothing_hint=False)
        if self.best_on and comm.is_main_process():
            if self.best_on not in flat:
                raise UserError(f"CHECKPOINT.BEST_ON: '{self.best_on}' is not one of the metrics, e.g. {next(iter(flat))}.")
            if flat[self.best_on] > self.best:
                self.best = flat[self.best_on]
                content = {**trainer.checkpoint(), "best": self.best}
                files.save_tensors(self.best_file, content)


class StartEvaluation(HookBase):
    """Evaluates what a run begins with, for the report to compare the end with."""

    def before_train(self) -> None:
        trainer = self.trainer
        if trainer.start_iter == 0 and trainer.cfg.DATASETS.TEST:
            evaluate(trainer.task, trainer.cfg, trainer.core, 0)


class Pictures(HookBase):
    """Shows TensorBoard what the pseudo-labels look like: the rows of the report, every `period` iterations."""

    def __init__(self, period: int) -> None:
        self.period = period

    def after_step(self) -> None:
        trainer = self.trainer
        due = self.period > 0 and (trainer.iter + 1) % self.period == 0
        if not due or not trainer.adapts or not trainer.core.uses_pseudo_labels or not comm.is_main_process():
            return
        for index, row in enumerate(trainer.task.lessons(trainer.cfg, trainer.core, count=2, seed=trainer.cfg.SEED)):
            picture = torch.cat([torch.from_numpy(image) for _, image in row], dim=1)
            trainer.storage.put_image(f"pseudo_labels/{index}", picture.permute(2, 0, 1))


class Report(HookBase):
    """Writes OUTPUT_DIR/report.html after the last iteration."""

    def after_step(self) -> None:
        trainer = self.trainer
        shows = trainer.cfg.DATASETS.TEST or trainer.cfg.DATASETS.TARGET
        if trainer.iter + 1 == trainer.max_iter and shows and comm.is_main_process():
            trainer.core.eval()
            logger.info("Pictures and curves: %s", write_run_report(trainer.task, trainer.cfg, trainer.core))
            trainer.core.train()
