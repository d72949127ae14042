"""Config files, config objects and command lines -> a config, with clear words for what is wrong."""

import logging
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode as CN
from detectron2.config import downgrade_config, get_cfg, upgrade_config
from detectron2.modeling import META_ARCH_REGISTRY

from mic_det.errors import UserError, hinted
from mic_det.validation import refuse, shortened

from .common import add_mic_config
from .files import read_config

logger = logging.getLogger(__name__)
# The meta-architectures that adapt; each has a student, MODEL.MIC.STUDENT.
ADAPTING = ("MaskedConsistencyDetector", "MaskedConsistencySegmentor", "MaskedConsistencyClassifier")
# Their students that are mic-det's own: as MODEL.META_ARCHITECTURE they are a mistake, not a plain detectron2 config.
OWN = ("EncoderDecoder", "HRDA", "ImageClassifier")


def known_keys(cfg: CN, prefix: str = "") -> Iterator[str]:
    """All full key names of a config, e.g. MODEL.MIC.MASK.RATIO."""
    for name, value in cfg.items():
        if isinstance(value, CN):
            yield from known_keys(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def value_of(cfg: CN, key: str) -> Any:
    """The value of a full key name."""
    for name in key.split("."):
        cfg = cfg[name]
    return cfg


def load_config(config: str | Path | CN | None = None, overrides: Iterable[Any] = ()) -> CN:
    """Detectron2's and mic-det's defaults, merged with a config and `KEY VALUE` overrides; all are data and run no code.

    The values have the right types; whether they make sense together is for `check_config`, before a run. A plain detectron2
    config becomes one that adapts its network, see `wrap_plain`.

    Args:
        config: YAML file, name of one of the library's configs, or a config object, mic-det's or detectron2's own, which is
            left as it is and may have further keys.

    Raises:
        UserError: naming the file that cannot be read, and all unknown keys and values of a wrong type.
    """
    cfg = with_defaults(config) if isinstance(config, CN) else add_mic_config(get_cfg())
    if config and not isinstance(config, CN):
        cfg = with_file(cfg, config)
    overrides = list(overrides)
    if len(overrides) % 2:
        raise UserError(f"Wrong config in the command line: {shortened(overrides[-1])} has no value; overrides are KEY VALUE.")
    set_values(cfg, zip(overrides[::2], overrides[1::2], strict=True), "the command line")
    wrap_plain(cfg, silent=config is None)
    return cfg


def complete(cfg: CN) -> CN:
    """`load_config` of a config object: a copy with every key of mic-det's, frozen where it was."""
    result = load_config(cfg)
    if cfg.is_frozen():
        result.freeze()
    return result


def with_defaults(cfg: CN) -> CN:
    """A copy of a config object, not frozen, with the default of every key that it lacks; detectron2's has none of mic-det's."""
    result = cfg.clone()
    result.defrost()
    add_missing(result, add_mic_config(get_cfg()))
    return result


def add_missing(cfg: CN, defaults: CN) -> None:
    """Add keys of `defaults` that a config lacks, in place, and the names of its renamed keys."""
    cfg.__dict__[CN.RENAMED_KEYS].update(defaults.__dict__[CN.RENAMED_KEYS])
    for name, value in defaults.items():
        if name not in cfg:
            cfg[name] = value
        elif isinstance(value, CN):
            add_missing(cfg[name], value)


def wrap_plain(cfg: CN, silent: bool = False) -> None:
    """Let a config whose MODEL.META_ARCHITECTURE is a network of its own adapt that network, in place; nothing else changes.

    MODEL.META_ARCHITECTURE becomes MaskedConsistencyDetector, MODEL.MIC.STUDENT what it was. Whether that can adapt is for
    `check_config`. Names that nobody has registered and mic-det's own stay, to be refused under the key that holds them.
    """
    name = cfg.MODEL.META_ARCHITECTURE
    if name in (*ADAPTING, *OWN) or name not in META_ARCH_REGISTRY:
        return
    cfg.MODEL.META_ARCHITECTURE, cfg.MODEL.MIC.STUDENT = ADAPTING[0], name
    if not silent:
        logger.info("A plain detectron2 config: its %s becomes the student of a %s, all else stays as it is.", name, ADAPTING[0])


def with_file(cfg: CN, config_file: str | Path) -> CN:
    """A config merged with a file's content, which may be of detectron2's first version."""
    content = read_config(config_file)
    version = content.get("VERSION", 1 if is_first_version(content) else cfg.VERSION)
    if type(version) is not int or not 1 <= version <= cfg.VERSION:
        raise UserError(f"VERSION in {config_file} is {shortened(version)}, but must be 1 or {cfg.VERSION}.")
    cfg = downgrade_config(cfg, version)
    set_values(cfg, values_of(content, cfg), str(config_file))
    return upgrade_config(cfg)


def is_first_version(content: dict) -> bool:
    """Whether a config without VERSION has keys of detectron2's first one."""
    model, test = content.get("MODEL"), content.get("TEST")
    return (isinstance(model, dict) and "WEIGHT" in model) or (isinstance(test, dict) and "AUG_ON" in test)


def values_of(content: dict, cfg: CN, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(full key, value) of nested dictionaries; what is not a section of `cfg` stays whole."""
    for name, value in content.items():
        if isinstance(value, dict) and isinstance(cfg.get(name), CN):
            yield from values_of(value, cfg[name], f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def set_values(cfg: CN, values: Iterable[tuple[str, Any]], source: str) -> None:
    """Set (full key, value) pairs, in place. Text is read as a Python literal where it is one."""
    known, faults = set(known_keys(cfg)), []
    for key, value in values:
        if key not in known:
            faults.append(unknown(key, known, cfg))
            continue
        default = value_of(cfg, key)
        if type(default) is float and re.fullmatch(r"[+-]?\d+", str(value)):  # yacs refuses whole numbers for floats
            value = float(value)
        try:
            cfg.merge_from_list([key, value])
        except (ValueError, AssertionError, TypeError, RecursionError, MemoryError):  # the last ones from odd literals
            faults.append(f"{key} is {shortened(value)}, but must be {kind_of(default)}")
        else:
            if value_of(cfg, key) is None and default is not None:
                faults.append(f"{key} is left empty, but must be {kind_of(default)}")
    refuse(f"Wrong config in {source}", faults)


def unknown(key: str, known: Iterable[str], cfg: CN) -> str:
    """What is wrong with a key that a config does not have."""
    if cfg.key_is_renamed(key):
        return f"{key} was renamed to {cfg.__dict__[CN.RENAMED_KEYS][key]}"
    if any(name.startswith(f"{key}.") for name in known):
        return f"{key} is a section, which has no value of its own"
    return hinted(f"there is no key {key}", key, known)


def kind_of(default: Any) -> str:
    """What a key's value must be, in words."""
    if isinstance(default, tuple | list):
        return "a list, e.g. ('a',), or () for an empty one"
    return {bool: "True or False", int: "a whole number", float: "a number"}.get(type(default), "text")


def num_classes_key(cfg: CN) -> str:
    """Name of the key that holds the student's number of classes."""
    if cfg.MODEL.META_ARCHITECTURE == "MaskedConsistencySegmentor":
        return "MODEL.SEM_SEG_HEAD.NUM_CLASSES"
    if cfg.MODEL.META_ARCHITECTURE == "MaskedConsistencyClassifier":
        return "MODEL.CLASSIFIER.NUM_CLASSES"
    return "MODEL.RETINANET.NUM_CLASSES" if cfg.MODEL.MIC.STUDENT == "RetinaNet" else "MODEL.ROI_HEADS.NUM_CLASSES"


def num_classes(cfg: CN) -> int:
    """Number of classes of the student."""
    return value_of(cfg, num_classes_key(cfg))
