"""Ranges of detectron2's own keys that decide a run; what the trainer does not do must stay off."""

from typing import Annotated, Literal

from annotated_types import Gt, Le, Len
from pydantic import Strict

from .ranges import (
    Count,
    CountOrNone,
    Counts,
    Flag,
    Name,
    Names,
    NonNegative,
    Number,
    PerChannel,
    Positive,
    PositiveShare,
    Share,
    Text,
    Whole,
    that,
)

Off = Annotated[Flag, that(lambda value: not value, "must stay False, because adaptation does not do that")]
BoxLoss = Literal["smooth_l1", "giou", "diou", "ciou"]
Thresholds = Annotated[tuple[Share, ...], Len(1), that(lambda value: list(value) == sorted(value), "must not decrease")]
BoxWeights = tuple[Positive, Positive, Positive, Positive]
PerLevel = Annotated[tuple[Annotated[tuple[Positive, ...], Len(1)], ...], Len(1)]

MODEL = {
    "MODEL.DEVICE": Annotated[
        Text,
        that(
            lambda value: value in ("cpu", "cuda", "mps") or (value.startswith("cuda:") and value[5:].isdecimal()),
            "must be cpu, cuda, cuda:0 (or another number) or mps",
        ),
    ],
    "MODEL.META_ARCHITECTURE": Name,
    "MODEL.KEYPOINT_ON": Off,
    "MODEL.LOAD_PROPOSALS": Off,
    "MODEL.PIXEL_MEAN": PerChannel,
    "MODEL.PIXEL_STD": tuple[Positive, Positive, Positive],
    "MODEL.BACKBONE.NAME": Name,
    "MODEL.BACKBONE.FREEZE_AT": CountOrNone,
    "MODEL.FPN.IN_FEATURES": Names,
    "MODEL.FPN.OUT_CHANNELS": Count,
    "MODEL.FPN.FUSE_TYPE": Literal["sum", "avg"],
    "MODEL.RESNETS.DEPTH": Count,
    "MODEL.RESNETS.OUT_FEATURES": Names,
    "MODEL.RESNETS.NUM_GROUPS": Count,
    "MODEL.RESNETS.WIDTH_PER_GROUP": Count,
    "MODEL.RESNETS.RES2_OUT_CHANNELS": Count,
    "MODEL.RESNETS.STEM_OUT_CHANNELS": Count,
    "MODEL.RESNETS.RES5_DILATION": Annotated[Count, Le(2)],
    "MODEL.ANCHOR_GENERATOR.SIZES": PerLevel,
    "MODEL.ANCHOR_GENERATOR.ASPECT_RATIOS": PerLevel,
    "MODEL.ANCHOR_GENERATOR.OFFSET": Annotated[Share, that(lambda value: value < 1, "must be less than 1")],
}
DETECTORS = {
    "MODEL.PROPOSAL_GENERATOR.MIN_SIZE": NonNegative,
    "MODEL.RPN.IN_FEATURES": Names,
    "MODEL.RPN.IOU_THRESHOLDS": Thresholds,
    "MODEL.RPN.BATCH_SIZE_PER_IMAGE": Count,
    "MODEL.RPN.POSITIVE_FRACTION": PositiveShare,
    "MODEL.RPN.BBOX_REG_LOSS_TYPE": BoxLoss,
    "MODEL.RPN.BBOX_REG_LOSS_WEIGHT": NonNegative,
    "MODEL.RPN.BBOX_REG_WEIGHTS": BoxWeights,
    "MODEL.RPN.SMOOTH_L1_BETA": NonNegative,
    "MODEL.RPN.LOSS_WEIGHT": NonNegative,
    "MODEL.RPN.PRE_NMS_TOPK_TRAIN": Count,
    "MODEL.RPN.PRE_NMS_TOPK_TEST": Count,
    "MODEL.RPN.POST_NMS_TOPK_TRAIN": Count,
    "MODEL.RPN.POST_NMS_TOPK_TEST": Count,
    "MODEL.RPN.NMS_THRESH": NonNegative,  # above 1, here and below, keeps all boxes
    "MODEL.RPN.CONV_DIMS": Annotated[
        tuple[Annotated[Whole, that(lambda value: value == -1 or value > 0, "must be a number of channels, or -1")], ...], Len(1)
    ],
    "MODEL.ROI_HEADS.NUM_CLASSES": Count,
    "MODEL.ROI_HEADS.IN_FEATURES": Names,
    "MODEL.ROI_HEADS.IOU_THRESHOLDS": Thresholds,
    "MODEL.ROI_HEADS.BATCH_SIZE_PER_IMAGE": Count,
    "MODEL.ROI_HEADS.POSITIVE_FRACTION": PositiveShare,
    "MODEL.ROI_HEADS.SCORE_THRESH_TEST": Share,
    "MODEL.ROI_HEADS.NMS_THRESH_TEST": NonNegative,
    "MODEL.ROI_BOX_HEAD.BBOX_REG_LOSS_TYPE": BoxLoss,
    "MODEL.ROI_BOX_HEAD.BBOX_REG_LOSS_WEIGHT": NonNegative,
    "MODEL.ROI_BOX_HEAD.BBOX_REG_WEIGHTS": BoxWeights,
    "MODEL.ROI_BOX_HEAD.SMOOTH_L1_BETA": NonNegative,
    "MODEL.ROI_BOX_HEAD.POOLER_RESOLUTION": Count,
    "MODEL.ROI_BOX_HEAD.POOLER_SAMPLING_RATIO": CountOrNone,
    "MODEL.ROI_BOX_HEAD.NUM_FC": CountOrNone,
    "MODEL.ROI_BOX_HEAD.FC_DIM": Count,
    "MODEL.ROI_BOX_HEAD.NUM_CONV": CountOrNone,
    "MODEL.ROI_BOX_HEAD.CONV_DIM": Count,
    "MODEL.ROI_MASK_HEAD.POOLER_RESOLUTION": Count,
    "MODEL.ROI_MASK_HEAD.NUM_CONV": CountOrNone,
    "MODEL.ROI_MASK_HEAD.CONV_DIM": Count,
    "MODEL.RETINANET.NUM_CLASSES": Count,
    "MODEL.RETINANET.IN_FEATURES": Names,
    "MODEL.RETINANET.NUM_CONVS": CountOrNone,
    "MODEL.RETINANET.IOU_THRESHOLDS": Thresholds,
    "MODEL.RETINANET.PRIOR_PROB": Annotated[PositiveShare, that(lambda value: value < 1, "must be less than 1")],
    "MODEL.RETINANET.SCORE_THRESH_TEST": Share,
    "MODEL.RETINANET.TOPK_CANDIDATES_TEST": Count,
    "MODEL.RETINANET.NMS_THRESH_TEST": NonNegative,
    "MODEL.RETINANET.BBOX_REG_WEIGHTS": BoxWeights,
    "MODEL.RETINANET.FOCAL_LOSS_GAMMA": NonNegative,
    "MODEL.RETINANET.FOCAL_LOSS_ALPHA": Annotated[Number, Le(1)],  # negative is off
    "MODEL.RETINANET.SMOOTH_L1_LOSS_BETA": NonNegative,
    "MODEL.RETINANET.BBOX_REG_LOSS_TYPE": BoxLoss,
}
SEGMENTORS = {
    "MODEL.SEM_SEG_HEAD.NAME": Name,
    "MODEL.SEM_SEG_HEAD.IN_FEATURES": Names,
    "MODEL.SEM_SEG_HEAD.IGNORE_VALUE": Annotated[CountOrNone, Le(255)],
    "MODEL.SEM_SEG_HEAD.NUM_CLASSES": Annotated[Count, Le(255)],
    "MODEL.SEM_SEG_HEAD.CONVS_DIM": Count,
    "MODEL.SEM_SEG_HEAD.LOSS_WEIGHT": NonNegative,
}
INPUT = {
    "INPUT.MIN_SIZE_TRAIN": Counts,
    "INPUT.MIN_SIZE_TRAIN_SAMPLING": Literal["choice", "range"],
    "INPUT.MAX_SIZE_TRAIN": Count,
    "INPUT.MIN_SIZE_TEST": CountOrNone,
    "INPUT.MAX_SIZE_TEST": Count,
    "INPUT.RANDOM_FLIP": Literal["horizontal", "vertical", "none"],
    "INPUT.CROP.TYPE": Literal["relative", "relative_range", "absolute", "absolute_range"],
    "INPUT.CROP.SIZE": tuple[Positive, Positive],
    "INPUT.FORMAT": Literal["BGR", "RGB"],
    "INPUT.MASK_FORMAT": Literal["polygon", "bitmask"],
    "DATASETS.TRAIN": Names,
    "DATASETS.TEST": Names,
    "DATALOADER.NUM_WORKERS": CountOrNone,
    "DATALOADER.SAMPLER_TRAIN": Literal["TrainingSampler"],
}
RUN = {
    "VERSION": Literal[2],
    "OUTPUT_DIR": Name,
    "SEED": Annotated[Whole, Le(2**32 - 1)],  # negative: drawn
    "SOLVER.LR_SCHEDULER_NAME": Literal[
        "WarmupMultiStepLR", "WarmupCosineLR", "WarmupStepWithFixedGammaLR", "WarmupPolyLR", "InverseDecayLR"
    ],
    "SOLVER.MAX_ITER": Count,
    "SOLVER.BASE_LR": Positive,
    "SOLVER.BASE_LR_END": NonNegative,
    "SOLVER.MOMENTUM": Share,
    "SOLVER.WEIGHT_DECAY": NonNegative,
    "SOLVER.WEIGHT_DECAY_NORM": NonNegative,
    "SOLVER.WEIGHT_DECAY_BIAS": NonNegative | None,
    "SOLVER.BIAS_LR_FACTOR": NonNegative,
    "SOLVER.GAMMA": Positive,
    "SOLVER.STEPS": tuple[Count, ...],
    "SOLVER.NUM_DECAYS": CountOrNone,
    "SOLVER.WARMUP_FACTOR": Share,
    "SOLVER.WARMUP_ITERS": CountOrNone,
    "SOLVER.WARMUP_METHOD": Literal["linear", "constant"],
    "SOLVER.CHECKPOINT_PERIOD": CountOrNone,
    "SOLVER.IMS_PER_BATCH": Count,
    "SOLVER.REFERENCE_WORLD_SIZE": Annotated[Whole, that(lambda value: value == 0, "must stay 0: use REFERENCE_IMS_PER_BATCH")],
    "SOLVER.CLIP_GRADIENTS.CLIP_TYPE": Literal["value", "norm"],
    "SOLVER.CLIP_GRADIENTS.CLIP_VALUE": Positive,
    "SOLVER.CLIP_GRADIENTS.NORM_TYPE": Annotated[float, Strict(), Gt(0)],  # may be infinite
    "TEST.EVAL_PERIOD": CountOrNone,
    "TEST.DETECTIONS_PER_IMAGE": Count,
    "TEST.AUG.ENABLED": Off,
    "TEST.PRECISE_BN.ENABLED": Off,
}
RANGES = MODEL | DETECTORS | SEGMENTORS | INPUT | RUN
