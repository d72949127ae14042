"""From command line to a ready config, and from a ready config to the output folder of a run."""

import ctypes
import logging
import secrets
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.utils import comm
from detectron2.utils.collect_env import collect_env_info

from mic_det.config import load_config
from mic_det.data.declare import declare
from mic_det.engine import records
from mic_det.engine.changes import differences, former_config, log_changes, with_what_holds
from mic_det.engine.checks import check_config
from mic_det.engine.log import RunLog
from mic_det.engine.optimizer import scale_to_batch
from mic_det.errors import UserError
from mic_det.outputs import refuse_unwritable, write_text

logger = logging.getLogger(__name__)
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4  # malloc.h


def keep_freed_memory() -> None:
    """Ask glibc to keep freed memory instead of returning it to the system; does nothing elsewhere.

    On a CPU, every step frees and takes again the same hundreds of megabytes; having the system clear those pages each
    time cost 7 % of a ToyCity step.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt:
        for option, value in ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, 2**31 - 1), (M_TOP_PAD, 2**28)):
            mallopt(option, value)


def fit_to_machine(cfg: CfgNode) -> CfgNode:
    """A copy of a config for this machine: on the CPU where there is no GPU, and with a drawn SEED where it is negative.

    All processes of a run draw the same seed.

    Raises:
        UserError: when MODEL.DEVICE names a GPU that is not there, beside others, or an accelerator that torch cannot use.
    """
    frozen, cfg = cfg.is_frozen(), cfg.clone()
    cfg.defrost()
    cfg.MODEL.DEVICE = usable_device(cfg.MODEL.DEVICE)
    if cfg.SEED < 0:
        # Not from numpy's generator: a caller who restores it would draw the same seed again.
        cfg.SEED = comm.all_gather(secrets.randbits(31))[0]
        logger.info("SEED was negative, so one was drawn: SEED %d repeats this run.", cfg.SEED)
    if frozen:
        cfg.freeze()
    return cfg


def usable_device(name: str) -> str:
    """MODEL.DEVICE, or cpu where it asks for a GPU and there is none. Raises UserError as `fit_to_machine` does."""
    if name == "mps" and not torch.backends.mps.is_available():
        raise UserError("MODEL.DEVICE is mps, but torch sees no such accelerator: set it to cpu.")
    if not name.startswith("cuda"):
        return name
    count = torch.cuda.device_count()
    if not count:
        logger.info("No GPU is visible: running on the CPU (MODEL.DEVICE cpu).")
        return "cpu"
    if int(name.partition(":")[2] or 0) >= count:
        raise UserError(f"MODEL.DEVICE is {name}, but only {count} GPUs are visible: cuda:0 is the first.")
    return name


def open_config(config: str | Path | CfgNode | None, overrides: Iterable[Any] = ()) -> CfgNode:
    """A checked config ready for this machine, with its DATASETS.DECLARE registered."""
    cfg = load_config(config, overrides)
    check_config(cfg)
    declare(cfg.DATASETS.DECLARE)
    cfg = fit_to_machine(cfg)
    if cfg.MODEL.DEVICE == "cpu":
        keep_freed_memory()
    return cfg


def prepare_run(config: str | Path | CfgNode, overrides: Iterable[Any] = (), resume: bool = False) -> CfgNode:
    """A config ready to train or evaluate with: loaded, checked, fitted to the machine and the batch, frozen. Writes nothing.

    Args:
        resume: a negative SEED is that of the run in OUTPUT_DIR.
    """
    cfg = load_config(config, overrides)
    check_config(cfg)
    refuse_unwritable(cfg.OUTPUT_DIR, "OUTPUT_DIR")
    declare(cfg.DATASETS.DECLARE)
    former = former_config(cfg.OUTPUT_DIR) if resume else None
    if former is not None and cfg.SEED < 0:
        cfg.SEED = former.SEED
    cfg = scale_to_batch(fit_to_machine(cfg))
    if cfg.MODEL.DEVICE == "cpu":
        keep_freed_memory()
    cfg.freeze()
    return cfg


def begin_run(cfg: CfgNode, log: RunLog, done: int = 0, former: CfgNode | None = None) -> None:
    """Take over OUTPUT_DIR for a training that has passed every check: its log, records, config and environment.

    Args:
        log: RunLog.
        done: iterations of the run in the folder, which goes on; 0 for one that begins.
        former: config of these iterations, or None.
    """
    log.keep_in(cfg.OUTPUT_DIR)
    if not comm.is_main_process():
        return
    records.begin(cfg.OUTPUT_DIR, done)
    if done and former is not None:
        log_changes(differences(cfg, former), done)
        cfg = with_what_holds(cfg, former)
    write_settings(cfg, done)


def begin_evaluation(cfg: CfgNode, log: RunLog) -> None:
    """The same for an evaluation; in the folder of a run, what the run wrote stays."""
    log.keep_in(cfg.OUTPUT_DIR)
    if comm.is_main_process():
        write_settings(cfg, suffix="_evaluation" if records.is_run(cfg.OUTPUT_DIR) else "")


def write_settings(cfg: CfgNode, done: int = 0, suffix: str = "") -> None:
    """Write the resolved config, and the machine and command it is used with, to OUTPUT_DIR; another config there is kept."""
    output, text = Path(cfg.OUTPUT_DIR), cfg.dump()
    config = output / f"config{suffix}.yaml"
    if config.is_file() and config.read_text() != text:
        records.keep_settings(output, done, suffix)
    write_text(config, text)
    write_text(output / f"environment{suffix}.txt", f"{collect_env_info()}\n{' '.join(sys.argv)}\n")
