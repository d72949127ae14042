"""Keys of the optimizer and its schedule."""

from typing import Literal

from detectron2.config import CfgNode

from .ranges import Count, CountOrNone, NonNegative, PositiveShare


def add_solver_config(cfg: CfgNode) -> None:
    """Add these keys to a config, in place."""
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
    # Factor on the learning rate of segmentation's decoders (AdamW runs have 10).
    cfg.SOLVER.HEAD_LR_FACTOR = 1.0
    # Factor on the learning rate from each transformer block of a ViT to the one below; 1 is off, ViTDet has 0.7.
    cfg.SOLVER.VIT_LAYER_DECAY = 1.0
    # Exponent of the learning rate's decay with SOLVER.LR_SCHEDULER_NAME WarmupPolyLR.
    cfg.SOLVER.POLY_LR_POWER = 1.0
    # With SOLVER.LR_SCHEDULER_NAME InverseDecayLR the rate is BASE_LR * (1 + GAMMA * iteration) ** -POWER.
    cfg.SOLVER.INVERSE_LR_GAMMA = 0.001
    # See INVERSE_LR_GAMMA.
    cfg.SOLVER.INVERSE_LR_POWER = 0.75
    # Distance of sharpness-aware minimisation, for image classification (SDAT has 0.02); 0 is off.
    cfg.SOLVER.SAM_RHO = 0.0


RANGES = {
    "SOLVER.OPTIMIZER": Literal["SGD", "AdamW"],
    "SOLVER.TARGET_IMS_PER_BATCH": Count,
    "SOLVER.ACCUMULATE": Count,
    "SOLVER.REFERENCE_IMS_PER_BATCH": CountOrNone,
    "SOLVER.AMP.DTYPE": Literal["bf16", "fp16"],
    "SOLVER.MAX_BAD_STEPS": Count,
    "SOLVER.CLIP_NORM": NonNegative,
    "SOLVER.HEAD_LR_FACTOR": NonNegative,
    "SOLVER.VIT_LAYER_DECAY": PositiveShare,
    "SOLVER.POLY_LR_POWER": NonNegative,
    "SOLVER.INVERSE_LR_GAMMA": NonNegative,
    "SOLVER.INVERSE_LR_POWER": NonNegative,
    "SOLVER.SAM_RHO": NonNegative,
}
