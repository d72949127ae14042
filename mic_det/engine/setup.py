"""From command line to a ready config: device, scaling, output folder, log."""

import logging
import sys
from pathlib import Path

import torch
from detectron2.utils import comm
from detectron2.utils.collect_env import collect_env_info
from detectron2.utils.logger import setup_logger

from mic_det.config import load_config
from mic_det.engine.optimizer import scale_to_batch

logger = logging.getLogger(__name__)


def fit_to_machine(cfg):
    """Fall back to the CPU where there is no GPU, and fix the seed where the config leaves it open; in place."""
    if cfg.MODEL.DEVICE == "cuda" and not torch.cuda.is_available():
        logger.info("No GPU is visible: running on the CPU (MODEL.DEVICE cpu).")
        cfg.MODEL.DEVICE = "cpu"
    if cfg.SEED < 0:
        cfg.SEED = 0
    return cfg


def prepare_run(config_file, overrides=()):
    """Load a config, fit it to the machine and the batch, and open OUTPUT_DIR with its log and resolved config."""
    cfg = load_config(config_file, overrides)
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
