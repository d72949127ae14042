"""One run from config to result: what tools/train_net.py and the studies call."""

from detectron2.modeling import build_model

from mic_det.checkpoint import files
from mic_det.checkpoint.weights import load_weights
from mic_det.engine.setup import prepare_run
from mic_det.engine.trainer import AdaptationTrainer
from mic_det.errors import UserError
from mic_det.evaluation import evaluate
from mic_det.tasks import task_of


def train_or_evaluate(config_file, overrides=(), resume=False, eval_only=False, download=False):
    """Train, or evaluate MODEL.WEIGHTS; returns the model. Arguments as in tools/train_net.py."""
    cfg = prepare_run(config_file, overrides, resume)
    if eval_only:
        return evaluate_weights(cfg, resume, download)
    trainer = AdaptationTrainer(cfg, download)
    if resume:
        trainer.resume()
    elif files.last_checkpoint(cfg.OUTPUT_DIR):
        raise UserError(
            f"OUTPUT_DIR {cfg.OUTPUT_DIR} already holds a run: add --resume to continue it, or choose another folder."
        )
    trainer.train()
    return trainer.core


def load_model(cfg, weights, download=False):
    """A meta-architecture of mic-det in evaluation mode with the given weights.

    Raises:
        UserError: when none are named, or they leave something random and MODEL.WEIGHTS_PARTIAL does not allow that.
    """
    if not weights:
        raise UserError("MODEL.WEIGHTS is empty: name a trained checkpoint, e.g. MODEL.WEIGHTS output/toycity/model_final.pth")
    model = build_model(cfg)
    load_weights(model, str(weights), download, partial=cfg.MODEL.WEIGHTS_PARTIAL, complete=True)
    return model.eval()


def evaluate_weights(cfg, resume=False, download=False):
    weights = files.last_checkpoint(cfg.OUTPUT_DIR) if resume else cfg.MODEL.WEIGHTS
    if not weights:
        raise UserError("--eval-only needs MODEL.WEIGHTS, or --resume for the last checkpoint in OUTPUT_DIR.")
    model = load_model(cfg, weights, download)
    evaluate(task_of(cfg), cfg, model)
    return model
