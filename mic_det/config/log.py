"""Keys of what a run reads and writes beside its data: checkpoints, evaluations and its log."""

from typing import Annotated, Literal

from detectron2.config import CfgNode
from detectron2.config import CfgNode as CN

from .ranges import Count, CountOrNone, Positive, Share, Text, that


def add_log_config(cfg: CfgNode) -> None:
    """Add these keys to a config, in place."""
    # Accept MODEL.WEIGHTS that leave parts of the network random.
    cfg.MODEL.WEIGHTS_PARTIAL = False
    # Which networks to evaluate: teacher, student or both.
    cfg.TEST.MODELS = ("teacher", "student")
    # Also evaluate what training begins with, which the report then compares the end with; `mic-det adapt` does.
    cfg.TEST.AT_START = False

    cfg.CHECKPOINT = CN()
    # Periodic checkpoints to keep besides the final one; older ones are deleted. 0 keeps all.
    cfg.CHECKPOINT.KEEP = 3
    # Evaluation metric, e.g. teacher/cityscapes_foggy_0.02_val/AP50, whose best checkpoint is kept beside the last one.
    # It selects by target labels, which unsupervised adaptation does not have, and is named so. Empty is off.
    cfg.CHECKPOINT.BEST_ON = ""

    cfg.LOG = CN()
    # Iterations between two log lines; the only moments at which training waits for the device.
    cfg.LOG.PERIOD = 20
    # Iterations between two rows of pseudo-label pictures in TensorBoard; 0 is off.
    cfg.LOG.PICTURE_PERIOD = 1000
    # Warn when the teacher was sure of nothing (no pseudo box, no confident pixel, no probable class) for this many iterations.
    cfg.LOG.COLLAPSE_ITERS = 200
    # Warn when there are this many times more pseudo boxes than source boxes per image.
    cfg.LOG.RUNAWAY_FACTOR = 3.0
    # Warn when a larger share of the target's pixels, or of its images, gets the same class.
    cfg.LOG.LARGEST_SHARE = 0.9
    # Also log to Weights & Biases, to the project of this name; empty is off.
    cfg.LOG.WANDB = ""
    # Also log to MLflow, to the experiment of this name; empty is off.
    cfg.LOG.MLFLOW = ""


RANGES = {
    "TEST.MODELS": tuple[Literal["teacher", "student"], ...],
    "CHECKPOINT.KEEP": CountOrNone,
    "CHECKPOINT.BEST_ON": Annotated[
        Text, that(lambda value: not value or value.count("/") >= 2, "must be MODEL/DATASET/METRIC, e.g. teacher/my_val/AP50")
    ],
    "LOG.PERIOD": Count,
    "LOG.PICTURE_PERIOD": CountOrNone,
    "LOG.COLLAPSE_ITERS": Count,
    "LOG.RUNAWAY_FACTOR": Positive,
    "LOG.LARGEST_SHARE": Share,
    "LOG.WANDB": Text,
    "LOG.MLFLOW": Text,
}
