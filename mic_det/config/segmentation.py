"""Keys of semantic segmentation: decoders, HRDA, self-training on mixed images, data and inference."""

from typing import Literal

from detectron2.config import CfgNode
from detectron2.config import CfgNode as CN

from .ranges import (
    CountOrNone,
    Counts,
    NonNegative,
    Positive,
    PositiveShare,
    Share,
    ShareBelowOne,
    ShareOrNone,
    Size,
    SizeOrNone,
)


def add_segmentation_config(cfg: CfgNode) -> None:
    """Add these keys to a config that has MODEL.MIC with its MASK, in place."""
    add_network_config(cfg)
    add_adaptation_config(cfg)
    add_data_config(cfg)


def add_network_config(cfg: CfgNode) -> None:
    """Encoder-decoders, HRDA and the language decoder."""
    # How DAFormerHead joins its levels: sepaspp, aspp, conv1 (no context), isa or sepaspp_f4.
    cfg.MODEL.SEM_SEG_HEAD.FUSION = "sepaspp"
    # Dilations of DeepLab's branches: (6, 12) for V2 in domain adaptation, (1, 12, 24, 36) for V3+.
    cfg.MODEL.SEM_SEG_HEAD.DILATIONS = (6, 12)
    # Share of channels dropped before the classifier.
    cfg.MODEL.SEM_SEG_HEAD.DROPOUT = 0.1

    cfg.MODEL.HRDA = CN()
    # Height and width of the detail crop in pixels of the training crop.
    cfg.MODEL.HRDA.DETAIL_CROP = (512, 512)
    # Share of the loss on the detail crop alone.
    cfg.MODEL.HRDA.DETAIL_WEIGHT = 0.1
    # Share of the loss on the context alone.
    cfg.MODEL.HRDA.CONTEXT_WEIGHT = 0.0
    # One attention map per class instead of one for all.
    cfg.MODEL.HRDA.CLASSWISE_ATTENTION = True
    # Constant attention to details in [0, 1]; negative learns it.
    cfg.MODEL.HRDA.FIXED_ATTENTION = -1.0
    # Windows of evaluation overlap by half.
    cfg.MODEL.HRDA.OVERLAP = True
    # What evaluation gives: fused, lr (context only), hr (details only) or att (the attention).
    cfg.MODEL.HRDA.OUTPUT = "fused"

    cfg.MODEL.LANGUAGE_HEAD = CN()
    # A second decoder on the same encoder, which sees the masked images and labels the target (LC-MSM).
    cfg.MODEL.LANGUAGE_HEAD.ENABLED = False
    # Its class embeddings: a file of `mic-det text-bank`; random: random ones, which is not LC-MSM; none: no text at all.
    cfg.MODEL.LANGUAGE_HEAD.TEXT_BANK = ""
    # Divides the cosines between image and text.
    cfg.MODEL.LANGUAGE_HEAD.TEMPERATURE = 0.07


def add_adaptation_config(cfg: CfgNode) -> None:
    """What of the method only segmentation has."""
    # Back-propagate source, mixed and masked losses one after the other: same gradients, least memory.
    cfg.MODEL.MIC.SEQUENTIAL_BACKWARD = False

    # Which images are masked: target, source, both, the first halves of both, the mixed ones, or source_and_mixed (LC-MSM).
    cfg.MODEL.MIC.MASK.IMAGES = "target"
    # Alpha of a second teacher for masked images, 0 being the student itself; negative shares the teacher.
    cfg.MODEL.MIC.MASK.TEACHER_ALPHA = -1.0
    # Pseudo-label threshold of masked images, 0 giving weight 1; negative takes PSEUDO_LABELS.THRESHOLD.
    cfg.MODEL.MIC.MASK.THRESHOLD = -1.0

    cfg.MODEL.MIC.MIX = CN()
    # Train on target images with pasted source classes (ClassMix).
    cfg.MODEL.MIC.MIX.ENABLED = True

    cfg.MODEL.MIC.FEATURE_DISTANCE = CN()
    # Factor on the distance to ImageNet features; 0 is off, 0.005 the published value.
    cfg.MODEL.MIC.FEATURE_DISTANCE.WEIGHT = 0.0
    # Classes whose cells count (traffic light, sign and the eight thing classes of Cityscapes); () is all.
    cfg.MODEL.MIC.FEATURE_DISTANCE.CLASSES = (6, 7, 11, 12, 13, 14, 15, 16, 17, 18)
    # Least share of a feature cell that its class fills.
    cfg.MODEL.MIC.FEATURE_DISTANCE.MIN_RATIO = 0.75

    cfg.MODEL.MIC.ADVERSARIAL = CN()
    # Factor on the adversarial loss of target predictions (AdvSeg); 0 is off, 0.001 the published value.
    cfg.MODEL.MIC.ADVERSARIAL.WEIGHT = 0.0
    # ls (least squares) or vanilla (cross-entropy).
    cfg.MODEL.MIC.ADVERSARIAL.LOSS = "ls"
    # Learning rate of the discriminator's Adam; it decays with power 0.9.
    cfg.MODEL.MIC.ADVERSARIAL.BASE_LR = 0.0001

    cfg.MODEL.MIC.ENTROPY = CN()
    # Factor on the entropy of target predictions (MinEnt); 0 is off, 0.001 the published value.
    cfg.MODEL.MIC.ENTROPY.WEIGHT = 0.0


def add_data_config(cfg: CfgNode) -> None:
    """Sizes, Rare Class Sampling and inference."""
    cfg.INPUT.SEM_SEG = CN()
    # (width, height) that source images are fitted into, keeping their ratio; () keeps their size.
    cfg.INPUT.SEM_SEG.SOURCE_SIZE = (1280, 720)
    # The same of target images.
    cfg.INPUT.SEM_SEG.TARGET_SIZE = (1024, 512)
    # The same of test images.
    cfg.INPUT.SEM_SEG.TEST_SIZE = (1024, 512)
    # Pixels at the top, bottom, left and right of target images that pseudo-labels leave out; (30, 240, 30, 30) for Cityscapes.
    cfg.INPUT.SEM_SEG.TARGET_MARGINS = (0, 0, 0, 0)
    # Source crops are redrawn up to 10 times while one class fills more than this share of the labelled pixels.
    cfg.INPUT.CROP.SINGLE_CATEGORY_MAX_AREA = 0.75

    cfg.DATASETS.RARE_CLASSES = CN()
    # Draw source images by class, rare ones more often (Rare Class Sampling).
    cfg.DATASETS.RARE_CLASSES.ENABLED = False
    # Temperature of the class distribution; the lower, the more the rare classes come.
    cfg.DATASETS.RARE_CLASSES.TEMPERATURE = 0.01
    # Least pixels of a class in an image drawn for it.
    cfg.DATASETS.RARE_CLASSES.MIN_PIXELS = 3000
    # Crops are redrawn up to 10 times until they hold more than MIN_PIXELS times this of the class.
    cfg.DATASETS.RARE_CLASSES.MIN_CROP_RATIO = 0.5

    cfg.TEST.SEM_SEG = CN()
    # (height, width) of inference windows in pixels of the network's input; () predicts the whole image.
    cfg.TEST.SEM_SEG.WINDOW = ()
    # Vertical and horizontal step of the windows.
    cfg.TEST.SEM_SEG.WINDOW_STRIDE = ()
    # Windows predicted at once, which bounds the memory; 0 is all.
    cfg.TEST.SEM_SEG.WINDOW_BATCH = 0
    # Average with the prediction of the mirrored image.
    cfg.TEST.SEM_SEG.FLIP = False
    # Which decoder predicts: plain, language, or the mean of both (MODEL.LANGUAGE_HEAD).
    cfg.TEST.SEM_SEG.DECODER = "plain"


RANGES = {
    "MODEL.SEM_SEG_HEAD.FUSION": Literal["sepaspp", "aspp", "conv1", "isa", "sepaspp_f4"],
    "MODEL.SEM_SEG_HEAD.DILATIONS": Counts,
    "MODEL.SEM_SEG_HEAD.DROPOUT": ShareBelowOne,
    "MODEL.HRDA.DETAIL_CROP": Size,
    "MODEL.HRDA.DETAIL_WEIGHT": Share,
    "MODEL.HRDA.CONTEXT_WEIGHT": Share,
    "MODEL.HRDA.FIXED_ATTENTION": ShareOrNone,
    "MODEL.HRDA.OUTPUT": Literal["fused", "lr", "hr", "att"],
    "MODEL.LANGUAGE_HEAD.TEMPERATURE": Positive,
    "MODEL.MIC.MASK.IMAGES": Literal["target", "source", "both", "halves", "mixed", "source_and_mixed"],
    "MODEL.MIC.MASK.TEACHER_ALPHA": ShareOrNone,
    "MODEL.MIC.MASK.THRESHOLD": ShareOrNone,
    "MODEL.MIC.FEATURE_DISTANCE.WEIGHT": NonNegative,
    "MODEL.MIC.FEATURE_DISTANCE.CLASSES": tuple[CountOrNone, ...],
    "MODEL.MIC.FEATURE_DISTANCE.MIN_RATIO": Share,
    "MODEL.MIC.ADVERSARIAL.WEIGHT": NonNegative,
    "MODEL.MIC.ADVERSARIAL.LOSS": Literal["ls", "vanilla"],
    "MODEL.MIC.ADVERSARIAL.BASE_LR": Positive,
    "MODEL.MIC.ENTROPY.WEIGHT": NonNegative,
    "INPUT.SEM_SEG.SOURCE_SIZE": SizeOrNone,
    "INPUT.SEM_SEG.TARGET_SIZE": SizeOrNone,
    "INPUT.SEM_SEG.TEST_SIZE": SizeOrNone,
    "INPUT.SEM_SEG.TARGET_MARGINS": tuple[CountOrNone, CountOrNone, CountOrNone, CountOrNone],
    "INPUT.CROP.SINGLE_CATEGORY_MAX_AREA": PositiveShare,
    "DATASETS.RARE_CLASSES.TEMPERATURE": Positive,
    "DATASETS.RARE_CLASSES.MIN_PIXELS": CountOrNone,
    "DATASETS.RARE_CLASSES.MIN_CROP_RATIO": NonNegative,
    "TEST.SEM_SEG.WINDOW": SizeOrNone,
    "TEST.SEM_SEG.WINDOW_STRIDE": SizeOrNone,
    "TEST.SEM_SEG.WINDOW_BATCH": CountOrNone,
    "TEST.SEM_SEG.DECODER": Literal["plain", "language", "mean"],
}
