"""From command line to a ready config: device, scaling, output folder, log."""

import ctypes
import logging
import os
import sys
from pathlib import Path

import torch
from detectron2.utils import comm
from detectron2.utils.collect_env import collect_env_info
from detectron2.utils.logger import setup_logger

from mic_det.config import load_config
from mic_det.config.files import read_yaml
from mic_det.data.declare import declare
from mic_det.engine.checks import check_config
from mic_det.engine.optimizer import scale_to_batch
from mic_det.errors import UserError

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
    """A copy of a config for this machine: on the CPU where there is no GPU, and with a drawn SEED where it is negative.

    All processes of a run draw the same seed.

    Raises:
        UserError: when MODEL.DEVICE names a GPU that is not there, beside others, or an accelerator that torch cannot use.
    """
    frozen, cfg = cfg.is_frozen(), cfg.clone()
    cfg.defrost()
    cfg.MODEL.DEVICE = usable_device(cfg.MODEL.DEVICE)
    if cfg.SEED < 0:
        cfg.SEED = int(comm.shared_random_seed())
        logger.info("SEED was negative, so one was drawn: SEED %d repeats this run.", cfg.SEED)
    if frozen:
        cfg.freeze()
    return cfg


def usable_device(name):
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


def open_config(config_file, overrides=()):
    """A checked config ready for this machine, with its DATASETS.DECLARE registered."""
    cfg = load_config(config_file, overrides)
    check_config(cfg)
    declare(cfg.DATASETS.DECLARE)
    cfg = fit_to_machine(cfg)
    if cfg.MODEL.DEVICE == "cpu":
        keep_freed_memory()
    return cfg


def prepare_run(config_file, overrides=(), resume=False):
    """Load and check a config, fit it to the machine and the batch, and open OUTPUT_DIR with its log and resolved config.

    Args:
        resume: a negative SEED is the one that the run in OUTPUT_DIR drew.
    """
    cfg = load_config(config_file, overrides)
    check_config(cfg)
    output = make_folder(cfg.OUTPUT_DIR)
    if resume and cfg.SEED < 0:
        cfg.SEED = drawn_seed(output, cfg.SEED)
    declare(cfg.DATASETS.DECLARE)
    for name in ("mic_det", "detectron2"):
        setup_logger(str(output), comm.get_rank(), name=name, abbrev_name=name)
    logging.getLogger("detectron2.data").setLevel(logging.WARNING)  # it describes the test loader at every evaluation
    cfg = scale_to_batch(fit_to_machine(cfg))
    if cfg.MODEL.DEVICE == "cpu":
        keep_freed_memory()
    cfg.freeze()
    if comm.is_main_process():
        (output / "config.yaml").write_text(cfg.dump())
        (output / "environment.txt").write_text(collect_env_info() + "\n" + " ".join(sys.argv) + "\n")
    return cfg


def make_folder(path):
    """OUTPUT_DIR, made where it does not exist. Raises UserError when it cannot be made or written to."""
    folder = Path(path)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        writable = os.access(folder, os.W_OK | os.X_OK)
    except (OSError, ValueError) as error:
        raise UserError(f"OUTPUT_DIR {path} cannot be made: {getattr(error, 'strerror', None) or error}.") from None
    if not writable:
        raise UserError(f"OUTPUT_DIR {path} cannot be written to: choose another folder.")
    return folder


def drawn_seed(folder, otherwise):
    """The SEED that the run in `folder` noted in its config.yaml, or `otherwise` when there is none."""
    file = Path(folder) / "config.yaml"
    content = read_yaml(file, "The run's config") if file.is_file() else None
    seed = content.get("SEED") if isinstance(content, dict) else None
    return seed if type(seed) is int else otherwise
