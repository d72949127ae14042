"""From command line to a ready config: device, scaling, output folder, log."""

import ctypes
import logging
import sys
from pathlib import Path

import torch
from detectron2.utils import comm
from detectron2.utils.collect_env import collect_env_info
from detectron2.utils.logger import setup_logger

from mic_det.config import load_config
from mic_det.data.declare import declare
from mic_det.engine.optimizer import scale_to_batch

logger = logging.getLogger(__name__)
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4  # malloc.h


def keep_freed_memory():
    """Ask glibc to keep freed memory instead of returning it to the system; does nothing elsewhere.

    On a CPU, every step frees and takes again the same hundreds of megabytes; having the system clear those pages each
    time cost 7 % of a ToyCity step.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt:
        for option, value in ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, 2**31 - 1), (M_TOP_PAD, 2**28)):
            mallopt(option, value)


def fit_to_machine(cfg):
    """Fall back to the CPU where there is no GPU, and fix the seed where the config leaves it open; in place."""
    if cfg.MODEL.DEVICE == "cuda" and not torch.cuda.is_available():
        logger.info("No GPU is visible: running on the CPU (MODEL.DEVICE cpu).")
        cfg.MODEL.DEVICE = "cpu"
    if cfg.MODEL.DEVICE == "cpu":
        keep_freed_memory()
    if cfg.SEED < 0:
        cfg.SEED = 0
    return cfg


def open_config(config_file, overrides=()):
    """A config ready for this machine, with its DATASETS.DECLARE registered."""
    cfg = load_config(config_file, overrides)
    declare(cfg.DATASETS.DECLARE)
    return fit_to_machine(cfg)


def prepare_run(config_file, overrides=()):
    """Load a config, fit it to the machine and the batch, and open OUTPUT_DIR with its log and resolved config."""
    cfg = load_config(config_file, overrides)
    declare(cfg.DATASETS.DECLARE)
    output = Path(cfg.OUTPUT_DIR)
    output.mkdir(parents=True, exist_ok=True)
    for name in ("mic_det", "detectron2"):
        setup_logger(str(output), comm.get_rank(), name=name, abbrev_name=name)
    logging.getLogger("detectron2.data").setLevel(logging.WARNING)  # it describes the test loader at every evaluation
    fit_to_machine(cfg)
    cfg = scale_to_batch(cfg)
    cfg.freeze()
    if comm.is_main_process():
        (output / "config.yaml").write_text(cfg.dump())
        (output / "environment.txt").write_text(collect_env_info() + "\n" + " ".join(sys.argv) + "\n")
    return cfg
