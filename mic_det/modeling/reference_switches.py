"""Which of MODEL.MIC.REFERENCE's switches have an effect under a config."""

import logging
from collections.abc import Callable

from detectron2.config import CfgNode

logger = logging.getLogger(__name__)
TASKS = {"MaskedConsistencySegmentor": "segmentation", "MaskedConsistencyClassifier": "classification"}


def is_task(name: str) -> Callable[[CfgNode], bool]:
    """Whether a config's meta-architecture serves the task called `name`."""
    return lambda cfg: TASKS.get(cfg.MODEL.META_ARCHITECTURE, "detection") == name


# what a switch may need -> whether a config has it
CONDITIONS = {
    "detection": is_task("detection"),
    "segmentation": is_task("segmentation"),
    "classification": is_task("classification"),
    "a student with an RPN": lambda cfg: cfg.MODEL.MIC.STUDENT != "RetinaNet",
    "MODEL.MIC.STUDENT HRDA": lambda cfg: cfg.MODEL.MIC.STUDENT == "HRDA",
    "MODEL.MIC.LOSS_WEIGHT above 0": lambda cfg: cfg.MODEL.MIC.LOSS_WEIGHT > 0,
    "MODEL.MIC.PSEUDO_LABELS.WEIGHT student_max": lambda cfg: cfg.MODEL.MIC.PSEUDO_LABELS.WEIGHT == "student_max",
    "MODEL.MIC.ALIGN.ENABLED True": lambda cfg: cfg.MODEL.MIC.ALIGN.ENABLED,
    "MODEL.MIC.ALIGN.INSTANCE_WEIGHT or CONSISTENCY_WEIGHT above 0": lambda cfg: (
        cfg.MODEL.MIC.ALIGN.INSTANCE_WEIGHT > 0 or cfg.MODEL.MIC.ALIGN.CONSISTENCY_WEIGHT > 0
    ),
    "MODEL.MIC.MIX.ENABLED True": lambda cfg: cfg.MODEL.MIC.MIX.ENABLED,
    "MODEL.MIC.ADVERSARIAL.WEIGHT above 0": lambda cfg: cfg.MODEL.MIC.ADVERSARIAL.WEIGHT > 0,
    "SOLVER.SAM_RHO above 0": lambda cfg: cfg.SOLVER.SAM_RHO > 0,
}
ALIGNED_REGIONS = (
    *("detection", "a student with an RPN", "MODEL.MIC.ALIGN.ENABLED True"),
    "MODEL.MIC.ALIGN.INSTANCE_WEIGHT or CONSISTENCY_WEIGHT above 0",
)
# switch -> keys of CONDITIONS; switches that are not listed work everywhere
NEEDS = {
    "INSTANCE_LEVEL_ZERO_ONLY": ALIGNED_REGIONS,
    "TARGET_IMAGE_BOX": ALIGNED_REGIONS,
    # Which proposals are kept matters to the source's own losses too.
    "BATCH_PROPOSALS": ("detection", "a student with an RPN", "MODEL.MIC.ALIGN.ENABLED True"),
    "ALIGN_PADDING": ("detection", "MODEL.MIC.ALIGN.ENABLED True"),
    "RPN_WEIGHT_GRADIENT": (
        *("detection", "a student with an RPN", "MODEL.MIC.LOSS_WEIGHT above 0"),
        "MODEL.MIC.PSEUDO_LABELS.WEIGHT student_max",
    ),
    "LEGACY_BOXES": ("detection",),
    "MEAN_OVER_IGNORED": ("segmentation",),
    "BATCH_CLASSES": ("segmentation", "MODEL.MIC.MIX.ENABLED True"),
    "MASK_WEIGHT_WITHOUT_DETAIL": ("segmentation", "MODEL.MIC.STUDENT HRDA", "MODEL.MIC.LOSS_WEIGHT above 0"),
    "HRDA_OFFSET_BELOW_LIMIT": ("segmentation", "MODEL.MIC.STUDENT HRDA"),
    "HRDA_FIXED_DIVISOR": ("segmentation", "MODEL.MIC.STUDENT HRDA"),
    "HRDA_ATTENDED_CONTEXT_LOSS": ("segmentation", "MODEL.MIC.STUDENT HRDA"),
    "DISCRIMINATOR_STEPPED_TWICE": ("segmentation", "MODEL.MIC.ADVERSARIAL.WEIGHT above 0"),
    "WEIGHT_IN_ASCENT_ONLY": ("classification", "SOLVER.SAM_RHO above 0", "MODEL.MIC.LOSS_WEIGHT above 0"),
}


def idle_switches(cfg: CfgNode) -> dict[str, str]:
    """{switch that is on but has no effect: the first thing it needs and the config has not}."""
    idle = {}
    for switch, needs in NEEDS.items():
        lacking = [need for need in needs if not CONDITIONS[need](cfg)]
        if cfg.MODEL.MIC.REFERENCE[switch] and lacking:
            idle[switch] = lacking[0]
    return idle


def warn_of_idle_switches(cfg: CfgNode) -> None:
    """One warning per switch that is on but has no effect."""
    for switch, need in idle_switches(cfg).items():
        logger.warning("MODEL.MIC.REFERENCE.%s does nothing here: it needs %s.", switch, need)
