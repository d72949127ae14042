"""One burn-in for several methods.

Until the target comes in, an adapting run does exactly what the source-only run does, number by number, so it need not do it
again. Domain classifiers have not been trained by then: they are as they were initialised.
"""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detectron2.config import CfgNode

from mic_det.checkpoint import files
from mic_det.checkpoint.weights import ALIGNMENT
from mic_det.outputs import write_atomically, write_text

if TYPE_CHECKING:  # the trainer imports this module
    from mic_det.engine.trainer import AdaptationTrainer


def is_common(cfg: CfgNode) -> bool:
    """Whether a run begins as the source-only run does: LC-MSM's second decoder and SDAT's optimizer are there from the start."""
    return cfg.MODEL.MIC.BURN_IN > 0 and not cfg.MODEL.LANGUAGE_HEAD.ENABLED and cfg.SOLVER.SAM_RHO == 0


def share(source_folder: str | Path, folder: str | Path, iterations: int) -> None:
    """Let the run in `folder` begin where the source-only run was after `iterations`."""
    checkpoint = Path(source_folder) / f"model_{iterations:07d}.pth"
    folder = Path(folder)
    if files.last_checkpoint(folder) is None:
        write_atomically(folder / checkpoint.name, lambda temporary: shutil.copy(checkpoint, temporary))
        write_text(folder / files.LAST, checkpoint.name)


def lacks_classifiers(content: dict[str, Any], trainer: "AdaptationTrainer") -> bool:
    """Whether a checkpoint is one from the burn-in of a run without alignment, and `trainer` aligns."""
    has = any(name.startswith(ALIGNMENT) for name in content["model"])
    return (
        getattr(trainer.core, "alignment", None) is not None and not has and content["iteration"] < trainer.cfg.MODEL.MIC.BURN_IN
    )


def add_classifiers(content: dict[str, Any], trainer: "AdaptationTrainer") -> None:
    """Complete such a checkpoint, in place, with the trainer's own untrained classifiers."""
    content["model"] |= {name: value for name, value in trainer.core.state_dict().items() if name.startswith(ALIGNMENT)}
