"""Config files and command lines -> a config, with clear words for what is wrong."""

import itertools
import re
from pathlib import Path

from detectron2.config import CfgNode as CN
from detectron2.config import get_cfg

from mic_det.errors import UserError, did_you_mean

from .common import add_mic_config


def known_keys(cfg, prefix=""):
    """All full key names of a config, e.g. MODEL.MIC.MASK.RATIO."""
    for name, value in cfg.items():
        if isinstance(value, CN):
            yield from known_keys(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def value_of(cfg, key):
    """The value of a full key name."""
    for name in key.split("."):
        cfg = cfg[name]
    return cfg


def whole_as_float(cfg, overrides):
    """`KEY VALUE` overrides in which whole numbers for float keys, such as LOSS_WEIGHT 1, are floats: yacs refuses them."""
    floats = {key for key in known_keys(cfg) if isinstance(value_of(cfg, key), float)}
    values = list(overrides)
    for index, (key, value) in enumerate(itertools.pairwise(values)):
        if index % 2 == 0 and key in floats and re.fullmatch(r"[+-]?\d+", str(value)):
            values[index + 1] = float(value)
    return values


def load_config(config_file=None, overrides=()):
    """Detectron2's and mic-det's defaults, merged with a YAML file and `KEY VALUE` overrides.

    Raises:
        UserError: naming the unknown key, the file that is missing or the value of a wrong type.
    """
    cfg = add_mic_config(get_cfg())
    if config_file and not Path(config_file).is_file():
        raise UserError(f"Config file {config_file} does not exist.")
    source = config_file or "the command line"
    try:
        if config_file:
            cfg.merge_from_file(str(config_file))
        source = "the command line"
        cfg.merge_from_list(whole_as_float(cfg, overrides))
    except (KeyError, ValueError, AssertionError) as error:
        message = str(error.args[0]) if error.args else str(error)
        key = message.rsplit(" ", 1)[-1]
        hint = did_you_mean(key, known_keys(cfg)) if "Non-existent" in message else ""
        raise UserError(f"Wrong config in {source}: {message}.{hint}") from None
    return cfg


def num_classes_key(cfg):
    """Name of the key that holds the student's number of classes."""
    if cfg.MODEL.META_ARCHITECTURE == "MaskedConsistencySegmentor":
        return "MODEL.SEM_SEG_HEAD.NUM_CLASSES"
    if cfg.MODEL.META_ARCHITECTURE == "MaskedConsistencyClassifier":
        return "MODEL.CLASSIFIER.NUM_CLASSES"
    return "MODEL.RETINANET.NUM_CLASSES" if cfg.MODEL.MIC.STUDENT == "RetinaNet" else "MODEL.ROI_HEADS.NUM_CLASSES"


def num_classes(cfg):
    """Number of classes of the student."""
    return value_of(cfg, num_classes_key(cfg))
