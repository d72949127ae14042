"""What differs between two configs, and which differences a run can go on with."""

import logging
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode

from mic_det.config import known_keys, load_config, value_of
from mic_det.errors import UserError

logger = logging.getLogger(__name__)
# Patterns of keys that cannot change in a run: what the network is, what it has learnt from, and, because the place of every
# sample is arithmetic, what decides which images come in which iteration.
FIXED = (
    *("MODEL.*", "SEED", "DATASETS.TRAIN", "DATASETS.TARGET", "DATASETS.DECLARE", "DATALOADER.FILTER_EMPTY_ANNOTATIONS"),
    *("SOLVER.OPTIMIZER", "SOLVER.IMS_PER_BATCH", "SOLVER.TARGET_IMS_PER_BATCH", "INPUT.FORMAT", "INPUT.RANGE"),
)
# Those among them that may: what losses weigh, how samples are drawn and masked, and what only tests and machines need.
FREE = (
    *("MODEL.DEVICE", "MODEL.WEIGHTS", "MODEL.WEIGHTS_PARTIAL", "MODEL.*_TEST", "MODEL.*LOSS_WEIGHT", "MODEL.*.DROP*"),
    *("MODEL.*.BATCH_SIZE_PER_IMAGE", "MODEL.*.POSITIVE_FRACTION", "MODEL.*_TOPK_TRAIN"),
    *("MODEL.HRDA.OUTPUT", "MODEL.HRDA.OVERLAP", "MODEL.HRDA.*_WEIGHT", "MODEL.MIC.*"),
)
# Those of MODEL.MIC that may not, and those that may unless the change adds or removes a part of the model.
FIXED_PARTS = ("MODEL.MIC.STUDENT", "MODEL.MIC.ALIGN.*", "MODEL.MIC.REFERENCE.*", "MODEL.MIC.CDAN.HIDDEN_DIM")
SWITCHES = (
    *("MODEL.MIC.CDAN.WEIGHT", "MODEL.MIC.ADVERSARIAL.WEIGHT", "MODEL.MIC.FEATURE_DISTANCE.WEIGHT"),
    "MODEL.MIC.MASK.TEACHER_ALPHA",
)
# What a resumed run does not read: its checkpoint holds the weights.
WITHOUT_EFFECT = ("MODEL.WEIGHTS", "MODEL.WEIGHTS_PARTIAL")
PLACES = ("images", "annotations")  # keys of a declaration: data may be moved


def differences(cfg: CfgNode, reference: CfgNode) -> dict[str, tuple]:
    """{key: (value in `reference`, value in `cfg`)} where they differ, but for their output folders."""
    pairs = {key: (value_of(reference, key), value_of(cfg, key)) for key in known_keys(cfg) if key != "OUTPUT_DIR"}
    return {key: pair for key, pair in pairs.items() if plain(pair[0]) != plain(pair[1])}


def plain(value: Any) -> Any:
    """The value with lists for tuples, as YAML gives it back."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else value


def former_config(folder: str | Path) -> CfgNode | None:
    """The config that the run in `folder` has had so far; None where it left none."""
    path = Path(folder) / "config.yaml"
    return load_config(path) if path.is_file() else None


def check_changes(cfg: CfgNode, former: CfgNode) -> dict[str, tuple]:
    """The `differences` between a run's `former` config and the one to go on with.

    Raises:
        UserError: listing what cannot change in a run, with both values.
    """
    found = differences(cfg, former)
    fixed = [f"{key} from {old!r} to {new!r}" for key, (old, new) in found.items() if is_fixed(key, former, cfg)]
    if fixed:
        raise UserError(
            f"--resume: the run in {cfg.OUTPUT_DIR} cannot change {', '.join(fixed)}: leave this as it was, or begin a run in "
            "another OUTPUT_DIR with MODEL.WEIGHTS set to this one's last checkpoint."
        )
    return found


def is_fixed(key: str, former: CfgNode, cfg: CfgNode) -> bool:
    """Whether the change of `key` between the two configs is one that a run cannot make."""
    if key == "DATASETS.DECLARE":
        return trained_on(former) != trained_on(cfg)
    if key in SWITCHES:
        return (value_of(former, key) > 0) != (value_of(cfg, key) > 0)
    if matches(key, FIXED_PARTS):
        return True
    return matches(key, FIXED) and not matches(key, FREE)


def matches(key: str, patterns: tuple[str, ...]) -> bool:
    """Whether a key fits one of the patterns."""
    return any(fnmatchcase(key, pattern) for pattern in patterns)


def trained_on(cfg: CfgNode) -> dict[str, dict]:
    """The declarations of training data, without the places where they lie; those in files of their own are not looked into."""
    names = {*cfg.DATASETS.TRAIN, *cfg.DATASETS.TARGET}
    entries = [plain(entry) for entry in cfg.DATASETS.DECLARE if isinstance(entry, dict) and entry.get("name") in names]
    return {entry["name"]: {key: value for key, value in entry.items() if key not in PLACES} for entry in entries}


def log_changes(found: dict[str, tuple], iteration: int) -> None:
    """Say what differs and what holds from `iteration` on."""
    for key, (old, new) in found.items():
        holds = "has no effect, the checkpoint's weights go on" if key in WITHOUT_EFFECT else "holds from here on"
        logger.info("Resumed at iteration %d with another %s: it was %r, %r %s.", iteration, key, old, new, holds)


def with_what_holds(cfg: CfgNode, former: CfgNode) -> CfgNode:
    """`cfg` with the former values of what has no effect on a resumed run, as its config.yaml shall say."""
    cfg = cfg.clone()
    cfg.defrost()
    cfg.MODEL.WEIGHTS, cfg.MODEL.WEIGHTS_PARTIAL = former.MODEL.WEIGHTS, former.MODEL.WEIGHTS_PARTIAL
    return cfg
