"""Keys of detection: pseudo boxes, feature alignment and the published detector's oddities."""

from typing import Literal

from detectron2.config import CfgNode as CN

from .ranges import Count, NonNegative, Share


def add_detection_config(cfg):
    """Add them to a config that has MODEL.MIC, in place."""
    cfg.MODEL.MIC.PSEUDO_LABELS = CN()
    # Least teacher score of a pseudo box.
    cfg.MODEL.MIC.PSEUDO_LABELS.THRESHOLD = 0.8
    # One threshold per class, instead of THRESHOLD; () is off.
    cfg.MODEL.MIC.PSEUDO_LABELS.CLASS_THRESHOLDS = ()
    # Boxes between this and the threshold are neither object nor background; 0 is off.
    cfg.MODEL.MIC.PSEUDO_LABELS.IGNORE_THRESHOLD = 0.0
    # Quality weight of each sample: teacher_score, student_max (the published rule) or none.
    cfg.MODEL.MIC.PSEUDO_LABELS.WEIGHT = "teacher_score"
    # Also learn box coordinates from pseudo boxes.
    cfg.MODEL.MIC.PSEUDO_LABELS.BOX_REGRESSION = False
    # Also learn instance masks from the teacher's masks (students with a mask branch).
    cfg.MODEL.MIC.PSEUDO_LABELS.MASKS = False

    cfg.MODEL.MIC.ALIGN = CN()
    # Adversarial feature alignment (SADA) of source and target.
    cfg.MODEL.MIC.ALIGN.ENABLED = False
    # Factors on the loss of the image-level classifiers, of the instance-level ones and of the consistency between both.
    cfg.MODEL.MIC.ALIGN.IMAGE_WEIGHT = 1.0
    # See IMAGE_WEIGHT; 0 is off.
    cfg.MODEL.MIC.ALIGN.INSTANCE_WEIGHT = 1.0
    # See IMAGE_WEIGHT; 0 is off.
    cfg.MODEL.MIC.ALIGN.CONSISTENCY_WEIGHT = 1.0
    # Strength of the reversed gradient that reaches the feature maps (0.025 for Cityscapes to fog, 0.01 for Sim10k).
    cfg.MODEL.MIC.ALIGN.IMAGE_GRADIENT = 0.025
    # Strength of the reversed gradient that reaches the box features.
    cfg.MODEL.MIC.ALIGN.INSTANCE_GRADIENT = 0.1
    # Factor on both for the consistency loss, whose gradient is not reversed.
    cfg.MODEL.MIC.ALIGN.CONSISTENCY_GRADIENT = 0.1
    # Hidden channels of the image-level classifiers.
    cfg.MODEL.MIC.ALIGN.IMAGE_DIM = 512
    # Hidden units of the instance-level classifiers.
    cfg.MODEL.MIC.ALIGN.INSTANCE_DIM = 1024

    # What the published code does although it looks unintended; each is off by default.
    cfg.MODEL.MIC.REFERENCE = CN()
    # Classify only RoIs of the finest level; the others have logit 0.
    cfg.MODEL.MIC.REFERENCE.INSTANCE_LEVEL_ZERO_ONLY = False
    # Anchors, pooling and clipping of boxes as in maskrcnn-benchmark, where a box ends on its last pixel.
    cfg.MODEL.MIC.REFERENCE.LEGACY_BOXES = False
    # Pad source and target to one size for alignment, and include the padding in its image-level loss.
    cfg.MODEL.MIC.REFERENCE.ALIGN_PADDING = False
    # With WEIGHT student_max: do not detach the weight of the objectness loss; below 1 / e its gradient has the wrong sign.
    cfg.MODEL.MIC.REFERENCE.RPN_WEIGHT_GRADIENT = False
    # RPN.POST_NMS_TOPK_TRAIN counts the proposals of source and target together instead of each image's.
    cfg.MODEL.MIC.REFERENCE.BATCH_PROPOSALS = False
    # Add a box around the whole image to the target's proposals.
    cfg.MODEL.MIC.REFERENCE.TARGET_IMAGE_BOX = False


RANGES = {
    "MODEL.MIC.PSEUDO_LABELS.THRESHOLD": Share,
    "MODEL.MIC.PSEUDO_LABELS.CLASS_THRESHOLDS": tuple[Share, ...],
    "MODEL.MIC.PSEUDO_LABELS.IGNORE_THRESHOLD": Share,
    "MODEL.MIC.PSEUDO_LABELS.WEIGHT": Literal["teacher_score", "student_max", "none"],
    "MODEL.MIC.ALIGN.IMAGE_WEIGHT": NonNegative,
    "MODEL.MIC.ALIGN.INSTANCE_WEIGHT": NonNegative,
    "MODEL.MIC.ALIGN.CONSISTENCY_WEIGHT": NonNegative,
    "MODEL.MIC.ALIGN.IMAGE_GRADIENT": NonNegative,
    "MODEL.MIC.ALIGN.INSTANCE_GRADIENT": NonNegative,
    "MODEL.MIC.ALIGN.CONSISTENCY_GRADIENT": NonNegative,
    "MODEL.MIC.ALIGN.IMAGE_DIM": Count,
    "MODEL.MIC.ALIGN.INSTANCE_DIM": Count,
}
