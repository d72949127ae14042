"""One run from config to result: what `mic-det train`, tools/train_net.py and the studies call."""

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode
from detectron2.modeling import build_model
from detectron2.utils import comm

from mic_det.checkpoint import files
from mic_det.checkpoint.weights import load_weights
from mic_det.engine import records
from mic_det.engine.agreement import warn_of_other_settings
from mic_det.engine.changes import check_changes, former_config
from mic_det.engine.log import RunLog
from mic_det.engine.setup import begin_evaluation, begin_run, prepare_run
from mic_det.engine.trainer import AdaptationTrainer
from mic_det.errors import UserError
from mic_det.evaluation import check_evaluation, evaluate
from mic_det.modeling.meta_arch.adapting import AdaptingModel
from mic_det.reporting.run_report import write_run_report
from mic_det.tasks import task_of

logger = logging.getLogger(__name__)


def train_or_evaluate(
    config: str | Path | CfgNode,
    overrides: Iterable[Any] = (),
    resume: bool = False,
    eval_only: bool = False,
    download: bool = False,
) -> AdaptingModel:
    """Train, or evaluate MODEL.WEIGHTS; returns the model. Arguments as in `mic-det train`; a config may be an object.

    Everything is checked before anything is written: a refused command leaves the files of OUTPUT_DIR as they are.
    """
    with RunLog() as log:
        cfg = prepare_run(config, overrides, resume)
        if eval_only:
            return evaluate_weights(cfg, log, resume, download)[0]
        former = check_folder(cfg, resume)
        trainer = AdaptationTrainer(cfg, download)
        if resume:
            trainer.resume()
        begin_run(cfg, log, trainer.start_iter, former)
        trainer.train()
        finish(trainer)
        return trainer.core


def finish(trainer: AdaptationTrainer) -> None:
    """Evaluate and report a run that was killed between its last iteration and the end of its evaluation."""
    cfg, done = trainer.cfg, trainer.max_iter
    if trainer.start_iter < done or records.are_evaluated(cfg.OUTPUT_DIR, cfg.TEST.MODELS, cfg.DATASETS.TEST, done):
        return
    trainer.core.eval()
    evaluate(trainer.task, cfg, trainer.core, done)
    if comm.is_main_process():
        logger.info("Pictures and curves: %s", write_run_report(trainer.task, cfg, trainer.core))


def check_folder(cfg: CfgNode, resume: bool) -> CfgNode | None:
    """The config of the run in OUTPUT_DIR that is to go on, or None.

    Raises:
        UserError: when there is a run that is not to go on, or one that cannot with this config.
    """
    if files.last_checkpoint(cfg.OUTPUT_DIR) is None:
        return None
    if not resume:
        raise UserError(
            f"OUTPUT_DIR {cfg.OUTPUT_DIR} already holds a run: add --resume to continue it, or choose another folder."
        )
    former = former_config(cfg.OUTPUT_DIR)
    if former is not None:
        check_changes(cfg, former)
    return former


def load_model(cfg: CfgNode, weights: str | Path, download: bool = False) -> AdaptingModel:
    """A meta-architecture of mic-det in evaluation mode with the given weights.

    Raises:
        UserError: when none are named, or they leave something random and MODEL.WEIGHTS_PARTIAL does not allow that.
    """
    if not weights:
        raise UserError("MODEL.WEIGHTS is empty: name a trained checkpoint, e.g. MODEL.WEIGHTS output/toycity/model_final.pth")
    warn_of_other_settings(cfg, weights)
    model = build_model(cfg)
    load_weights(model, str(weights), download, partial=cfg.MODEL.WEIGHTS_PARTIAL, complete=True)
    return model.eval()


def evaluate_weights(
    cfg: CfgNode, log: RunLog, resume: bool = False, download: bool = False
) -> tuple[AdaptingModel, dict[str, dict[str, float]]]:
    """Evaluate MODEL.WEIGHTS, or with `resume` the last checkpoint of OUTPUT_DIR; returns the model and `evaluate`'s results.

    Raises:
        UserError: when there are no weights or no DATASETS.TEST.
    """
    weights = files.last_checkpoint(cfg.OUTPUT_DIR) if resume else cfg.MODEL.WEIGHTS
    if not weights:
        raise UserError("MODEL.WEIGHTS is empty: name what to evaluate; --eval-only can --resume from OUTPUT_DIR instead.")
    if not cfg.DATASETS.TEST:
        raise UserError("DATASETS.TEST is empty: name at least one labelled dataset.")
    task = task_of(cfg)
    check_evaluation(task, cfg)
    model = load_model(cfg, weights, download)
    done = files.load(weights)["iteration"] + 1 if resume else None
    begin_evaluation(cfg, log)
    return model, evaluate(task, cfg, model, done)
