"""Keys that all tasks share: the method, datasets, solver, tests, checkpoints and logs."""

import math
from typing import Annotated, Literal

from detectron2.config import CfgNode as CN

from .backbone import add_backbone_config
from .classification import add_classification_config
from .detection import add_detection_config
from .ranges import Count, CountOrNone, Name, NonNegative, Positive, PositiveShare, Share, Text, that
from .segmentation import add_segmentation_config


def add_mic_config(cfg):
    """Add mic-det's keys to a detectron2 config, in place. Defaults are the published detection settings."""
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

    cfg.MODEL.MIC.MASK = CN()
    # Side of a block in pixels of the network's input.
    cfg.MODEL.MIC.MASK.BLOCK_SIZE = 32
    # Probability that a block is removed; 0 gives a plain mean teacher.
    cfg.MODEL.MIC.MASK.RATIO = 0.5

    cfg.MODEL.MIC.AUGMENT = CN()
    # Strength of the masked view's colour jitter (brightness, contrast, saturation, hue); 0 is off.
    cfg.MODEL.MIC.AUGMENT.JITTER = 0.2
    # Probability of jitter per image and iteration.
    cfg.MODEL.MIC.AUGMENT.JITTER_PROB = 0.8
    # Probability of Gaussian blur per image and iteration; 0 is off.
    cfg.MODEL.MIC.AUGMENT.BLUR_PROB = 0.5
    # Range of the blur's standard deviation in pixels.
    cfg.MODEL.MIC.AUGMENT.BLUR_SIGMA = (0.15, 1.15)

    add_detection_config(cfg)
    add_segmentation_config(cfg)
    add_classification_config(cfg)
    add_backbone_config(cfg)

    # Accept MODEL.WEIGHTS that leave parts of the network random.
    cfg.MODEL.WEIGHTS_PARTIAL = False

    # Unlabelled target: registered datasets, folders of images or COCO JSON files; their labels are never read.
    cfg.DATASETS.TARGET = ()
    # Datasets to declare without code: mappings as mic_det/data/declaration.py explains, or paths of YAML files of them.
    cfg.DATASETS.DECLARE = ()
    # Values of images that become black and white: (low, high), ("min", "max") for each image's own, () for the whole range of
    # its number type (8 or 16 bits, or floats from 0 to 1).
    cfg.INPUT.RANGE = ()
    # Strength of brightness, contrast and saturation jitter of labelled training images; 0 is off.
    cfg.INPUT.COLOR_JITTER = 0.0

    # SGD or AdamW.
    cfg.SOLVER.OPTIMIZER = "SGD"
    # Target images per iteration over all processes; IMS_PER_BATCH counts the source images.
    cfg.SOLVER.TARGET_IMS_PER_BATCH = 1
    # Each iteration's images go through the network in this many parts, to save memory.
    cfg.SOLVER.ACCUMULATE = 1
    # When positive, BASE_LR is multiplied by IMS_PER_BATCH / this and all iteration counts are divided by it.
    cfg.SOLVER.REFERENCE_IMS_PER_BATCH = 0
    # Number type of mixed precision (SOLVER.AMP.ENABLED): bf16 or fp16.
    cfg.SOLVER.AMP.DTYPE = "bf16"
    # Stop after this many steps in a row with non-finite gradients; each of them is skipped.
    cfg.SOLVER.MAX_BAD_STEPS = 20
    # Clip the norm of the whole gradient to this; 0 is off.
    cfg.SOLVER.CLIP_NORM = 0.0
    # Factor on the learning rate from each transformer block of a ViT to the one below; 1 is off, ViTDet has 0.7.
    cfg.SOLVER.VIT_LAYER_DECAY = 1.0

    # Metrics beside COCO's AP, AP50 and AP75: voc07 (11 recalls), voc12 (exact area), both at IoU 0.5.
    cfg.TEST.VOC_METRICS = ()
    # Which detectors to evaluate: teacher, student or both.
    cfg.TEST.MODELS = ("teacher", "student")

    cfg.CHECKPOINT = CN()
    # Periodic checkpoints to keep besides the final one; older ones are deleted. 0 keeps all.
    cfg.CHECKPOINT.KEEP = 3
    # Evaluation metric, e.g. teacher/cityscapes_foggy_0.02_val/AP50, whose best checkpoint is kept beside the last one.
    # It selects by target labels, which unsupervised adaptation does not have, and is named so. Empty is off.
    cfg.CHECKPOINT.BEST_ON = ""

    cfg.LOG = CN()
    # Iterations between two log lines; the only moments at which training waits for the device.
    cfg.LOG.PERIOD = 20
    # Iterations between two rows of pseudo-label pictures in TensorBoard; 0 is off.
    cfg.LOG.PICTURE_PERIOD = 1000
    # Warn when no pseudo box was found, or no pixel was confident, for this many iterations.
    cfg.LOG.COLLAPSE_ITERS = 200
    # Warn when there are this many times more pseudo boxes than source boxes per image.
    cfg.LOG.RUNAWAY_FACTOR = 3.0
    # Warn when a larger share of the target's pixels gets the same class.
    cfg.LOG.LARGEST_SHARE = 0.9
    # Also log to Weights & Biases, to the project of this name; empty is off.
    cfg.LOG.WANDB = ""
    # Also log to MLflow, to the experiment of this name; empty is off.
    cfg.LOG.MLFLOW = ""
    return cfg


def is_range(value):
    """Whether INPUT.RANGE can be `value`."""
    if len(value) != 2:
        return len(value) == 0
    low, high = value
    numbers = [end for end, word in ((low, "min"), (high, "max")) if end != word]
    finite = all(type(end) in (int, float) and math.isfinite(end) for end in numbers)
    return finite and (len(numbers) < 2 or low < high)


RANGES = {
    "MODEL.MIC.STUDENT": Name,
    "MODEL.MIC.INFERENCE": Literal["teacher", "student"],
    "MODEL.MIC.BURN_IN": CountOrNone,
    "MODEL.MIC.LOSS_WEIGHT": NonNegative,
    "MODEL.MIC.TEACHER.ALPHA": Share,
    "MODEL.MIC.MASK.BLOCK_SIZE": Count,
    "MODEL.MIC.MASK.RATIO": Share,
    "MODEL.MIC.AUGMENT.JITTER": Share,
    "MODEL.MIC.AUGMENT.JITTER_PROB": Share,
    "MODEL.MIC.AUGMENT.BLUR_PROB": Share,
    "MODEL.MIC.AUGMENT.BLUR_SIGMA": Annotated[
        tuple[Positive, Positive], that(lambda value: value[0] <= value[1], "must be (low, high) with low <= high")
    ],
    "DATASETS.TARGET": tuple[Name, ...],
    "DATASETS.DECLARE": tuple[Name | dict, ...],
    "INPUT.RANGE": Annotated[tuple, that(is_range, "must be (low, high) with low < high, ('min', 'max') or ()")],
    "INPUT.COLOR_JITTER": Share,
    "SOLVER.OPTIMIZER": Literal["SGD", "AdamW"],
    "SOLVER.TARGET_IMS_PER_BATCH": Count,
    "SOLVER.ACCUMULATE": Count,
    "SOLVER.REFERENCE_IMS_PER_BATCH": CountOrNone,
    "SOLVER.AMP.DTYPE": Literal["bf16", "fp16"],
    "SOLVER.MAX_BAD_STEPS": Count,
    "SOLVER.CLIP_NORM": NonNegative,
    "SOLVER.VIT_LAYER_DECAY": PositiveShare,
    "TEST.VOC_METRICS": tuple[Literal["voc07", "voc12"], ...],
    "TEST.MODELS": tuple[Literal["teacher", "student"], ...],
    "CHECKPOINT.KEEP": CountOrNone,
    "CHECKPOINT.BEST_ON": Annotated[
        Text, that(lambda value: not value or value.count("/") >= 2, "must be MODEL/DATASET/METRIC, e.g. teacher/my_val/AP50")
    ],
    "LOG.PERIOD": Count,
    "LOG.PICTURE_PERIOD": CountOrNone,
    "LOG.COLLAPSE_ITERS": Count,
    "LOG.RUNAWAY_FACTOR": Positive,
    "LOG.LARGEST_SHARE": Share,
    "LOG.WANDB": Text,
    "LOG.MLFLOW": Text,
}
