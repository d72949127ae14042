"""Keys of the method, which all tasks share: student and teacher, pseudo-labels, masks and augmentation."""

from typing import Annotated, Literal

from detectron2.config import CfgNode
from detectron2.config import CfgNode as CN

from .ranges import Count, CountOrNone, Name, NonNegative, Positive, Share, that


def add_method_config(cfg: CfgNode) -> None:
    """Add MODEL.MIC with these keys to a config, in place."""
    cfg.MODEL.MIC = CN()
    # Registered meta-architecture that adapts: it becomes the student, its moving average the teacher.
    cfg.MODEL.MIC.STUDENT = "GeneralizedRCNN"
    # Which of the two predicts in evaluation mode: teacher or student.
    cfg.MODEL.MIC.INFERENCE = "teacher"
    # Iterations of source-only training (the teacher follows) before the target is used.
    cfg.MODEL.MIC.BURN_IN = 0
    # Factor on all masked-consistency losses; 0 turns masked consistency off.
    cfg.MODEL.MIC.LOSS_WEIGHT = 1.0

    cfg.MODEL.MIC.TEACHER = CN()
    # Share of the teacher that survives one update.
    cfg.MODEL.MIC.TEACHER.ALPHA = 0.9
    # Use min(1 - 1 / (t + 1), ALPHA) at iteration t.
    cfg.MODEL.MIC.TEACHER.RAMP = False
    # In training, batch normalisation uses the statistics of the teacher's own batches, as published, instead of the student's
    # running ones, which are mostly of the source. Other normalisation does not care.
    cfg.MODEL.MIC.TEACHER.BATCH_STATISTICS = True

    cfg.MODEL.MIC.PSEUDO_LABELS = CN()
    # What the teacher must be sure of: least score of a pseudo box, or least probability of a pixel that counts as confident;
    # image classification takes all labels.
    cfg.MODEL.MIC.PSEUDO_LABELS.THRESHOLD = 0.8
    # How much a pseudo box or an image's label counts: teacher_score, none (all fully) or, of boxes, student_max (the published
    # rule). Pixels always count as the share of confident ones in their image.
    cfg.MODEL.MIC.PSEUDO_LABELS.WEIGHT = "teacher_score"

    cfg.MODEL.MIC.MASK = CN()
    # Side of a block in pixels of the network's input.
    cfg.MODEL.MIC.MASK.BLOCK_SIZE = 32
    # Probability that a block is removed; 0 gives a plain mean teacher.
    cfg.MODEL.MIC.MASK.RATIO = 0.5
    # Apply AUGMENT to the images that are masked, before they are. ClassMix images always get it, masked or not.
    cfg.MODEL.MIC.MASK.AUGMENT = True

    cfg.MODEL.MIC.AUGMENT = CN()
    # Strength of the colour jitter (brightness, contrast, saturation, hue) of masked views and ClassMix images; 0 is off.
    cfg.MODEL.MIC.AUGMENT.JITTER = 0.2
    # Probability of jitter per image and iteration.
    cfg.MODEL.MIC.AUGMENT.JITTER_PROB = 0.8
    # Probability of Gaussian blur per image and iteration; 0 is off.
    cfg.MODEL.MIC.AUGMENT.BLUR_PROB = 0.5
    # Range of the blur's standard deviation in pixels.
    cfg.MODEL.MIC.AUGMENT.BLUR_SIGMA = (0.15, 1.15)


RANGES = {
    "MODEL.MIC.STUDENT": Name,
    "MODEL.MIC.INFERENCE": Literal["teacher", "student"],
    "MODEL.MIC.BURN_IN": CountOrNone,
    "MODEL.MIC.LOSS_WEIGHT": NonNegative,
    "MODEL.MIC.TEACHER.ALPHA": Share,
    "MODEL.MIC.PSEUDO_LABELS.THRESHOLD": Share,
    "MODEL.MIC.PSEUDO_LABELS.WEIGHT": Literal["teacher_score", "student_max", "none"],
    "MODEL.MIC.MASK.BLOCK_SIZE": Count,
    "MODEL.MIC.MASK.RATIO": Share,
    "MODEL.MIC.AUGMENT.JITTER": Share,
    "MODEL.MIC.AUGMENT.JITTER_PROB": Share,
    "MODEL.MIC.AUGMENT.BLUR_PROB": Share,
    "MODEL.MIC.AUGMENT.BLUR_SIGMA": Annotated[
        tuple[Positive, Positive], that(lambda value: value[0] <= value[1], "must be (low, high) with low <= high")
    ],
}
