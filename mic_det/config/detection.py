"""Keys of detection: pseudo boxes, feature alignment and its metrics."""

from typing import Literal

from detectron2.config import CfgNode
from detectron2.config import CfgNode as CN

from .ranges import Count, NonNegative, Share


def add_detection_config(cfg: CfgNode) -> None:
    """Add these keys to a config that has MODEL.MIC with its PSEUDO_LABELS, in place."""
    # One least score of pseudo boxes per class, instead of THRESHOLD; () is off.
    cfg.MODEL.MIC.PSEUDO_LABELS.CLASS_THRESHOLDS = ()
    # Boxes between this and the threshold are neither object nor background; 0 is off.
    cfg.MODEL.MIC.PSEUDO_LABELS.IGNORE_THRESHOLD = 0.0
    # Also learn box coordinates from pseudo boxes.
    cfg.MODEL.MIC.PSEUDO_LABELS.BOX_REGRESSION = False
    # Also learn instance masks from the teacher's masks (students with a mask branch).
    cfg.MODEL.MIC.PSEUDO_LABELS.MASKS = False

    cfg.MODEL.MIC.ALIGN = CN()
    # Adversarial feature alignment (SADA) of source and target.
    cfg.MODEL.MIC.ALIGN.ENABLED = False
    # Factor on the loss of the image-level domain classifiers; 0 is off.
    cfg.MODEL.MIC.ALIGN.IMAGE_WEIGHT = 1.0
    # Factor on the loss of the instance-level domain classifiers; 0 is off.
    cfg.MODEL.MIC.ALIGN.INSTANCE_WEIGHT = 1.0
    # Factor on the loss of the consistency between both; 0 is off.
    cfg.MODEL.MIC.ALIGN.CONSISTENCY_WEIGHT = 1.0
    # Strength of the reversed gradient that reaches the feature maps (0.025 for Cityscapes to fog, 0.01 for Sim10k).
    cfg.MODEL.MIC.ALIGN.IMAGE_GRADIENT = 0.025
    # Strength of the reversed gradient that reaches the box features.
    cfg.MODEL.MIC.ALIGN.INSTANCE_GRADIENT = 0.1
    # Factor on IMAGE_GRADIENT and INSTANCE_GRADIENT for the consistency loss, whose gradient is not reversed.
    cfg.MODEL.MIC.ALIGN.CONSISTENCY_GRADIENT = 0.1
    # Hidden channels of the image-level classifiers.
    cfg.MODEL.MIC.ALIGN.IMAGE_DIM = 512
    # Hidden units of the instance-level classifiers.
    cfg.MODEL.MIC.ALIGN.INSTANCE_DIM = 1024

    # Metrics beside COCO's AP, AP50 and AP75: voc07 (11 recalls), voc12 (exact area), both at IoU 0.5.
    cfg.TEST.VOC_METRICS = ()


RANGES = {
    "MODEL.MIC.PSEUDO_LABELS.CLASS_THRESHOLDS": tuple[Share, ...],
    "MODEL.MIC.PSEUDO_LABELS.IGNORE_THRESHOLD": Share,
    "MODEL.MIC.ALIGN.IMAGE_WEIGHT": NonNegative,
    "MODEL.MIC.ALIGN.INSTANCE_WEIGHT": NonNegative,
    "MODEL.MIC.ALIGN.CONSISTENCY_WEIGHT": NonNegative,
    "MODEL.MIC.ALIGN.IMAGE_GRADIENT": NonNegative,
    "MODEL.MIC.ALIGN.INSTANCE_GRADIENT": NonNegative,
    "MODEL.MIC.ALIGN.CONSISTENCY_GRADIENT": NonNegative,
    "MODEL.MIC.ALIGN.IMAGE_DIM": Count,
    "MODEL.MIC.ALIGN.INSTANCE_DIM": Count,
    "TEST.VOC_METRICS": tuple[Literal["voc07", "voc12"], ...],
}
