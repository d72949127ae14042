"""Whether a checkpoint is used with the settings that it was trained with."""

import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode

from mic_det.config import load_config
from mic_det.engine.changes import differences, matches
from mic_det.errors import UserError

logger = logging.getLogger(__name__)
# Patterns of keys that change what the same weights answer.
DECISIVE = (
    *("MODEL.*", "INPUT.FORMAT", "INPUT.RANGE", "INPUT.MIN_SIZE_TEST", "INPUT.MAX_SIZE_TEST"),
    *("INPUT.CLASSIFICATION.RESIZE", "INPUT.CLASSIFICATION.CROP", "INPUT.SEM_SEG.TEST_SIZE"),
    *("TEST.DETECTIONS_PER_IMAGE", "TEST.SEM_SEG.*"),
)
# Those among them that do not: what only training and machines need.
INDIFFERENT = (
    *("MODEL.DEVICE", "MODEL.WEIGHTS", "MODEL.WEIGHTS_PARTIAL", "MODEL.*LOSS*", "MODEL.*_TRAIN", "MODEL.*.DROP*"),
    *("MODEL.*.BATCH_SIZE_PER_IMAGE", "MODEL.*.POSITIVE_FRACTION", "MODEL.*IOU_THRESHOLDS", "MODEL.*SMOOTH_L1_BETA"),
    *("MODEL.*FREEZE_AT", "MODEL.*PRIOR_PROB", "MODEL.*BOUNDARY_THRESH", "MODEL.META_ARCHITECTURE", "MODEL.HRDA.*_WEIGHT"),
    *("MODEL.ROI_HEADS.PROPOSAL_APPEND_GT", "MODEL.MIC.*"),
)
STUDENT = ("MODEL.MIC.STUDENT", "MODEL.MIC.REFERENCE.LEGACY_BOXES")  # of MODEL.MIC, what does


def warn_of_other_settings(cfg: CfgNode, weights: str | Path) -> list[str]:
    """Warn, in one message, of settings that change the answer and are not those of the `config.yaml` beside a checkpoint.

    Detectron2 writes one beside its checkpoints, too. Without one, or where it cannot be read, nothing is said.

    Returns:
        The names of what differs: keys, and "class names".
    """
    path = Path(weights).parent / "config.yaml"
    if not weights or not path.is_file():
        return []
    try:
        trained = load_config(path)
    except UserError as error:
        logger.info("The settings of %s were not compared: %s", weights, error)
        return []
    found = {key: pair for key, pair in differences(cfg, trained).items() if decides(key)}
    names = declared_classes(trained), declared_classes(cfg)
    if all(names) and names[0] != names[1]:
        found["class names"] = names
    if found:
        lines = "\n".join(f"  {key}: {old!r} there, {new!r} here" for key, (old, new) in found.items())
        logger.warning("%s was trained with other settings, by %s, so that it will answer differently:\n%s", weights, path, lines)
    return list(found)


def decides(key: str) -> bool:
    """Whether a key changes what the same weights answer."""
    return key in STUDENT or (matches(key, DECISIVE) and not matches(key, INDIFFERENT))


def declared_classes(cfg: CfgNode) -> list[str]:
    """Class names that DATASETS.DECLARE gives to the first of DATASETS.TRAIN; [] where it gives none."""
    entries: Iterable[Any] = (entry for entry in cfg.DATASETS.DECLARE if isinstance(entry, dict))
    first = cfg.DATASETS.TRAIN[:1]
    return next((list(entry["classes"]) for entry in entries if entry.get("name") in first and entry.get("classes")), [])
