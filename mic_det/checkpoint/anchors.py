"""The anchors that came with a weight file against those of the configured detector."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

logger = logging.getLogger(__name__)
TABLES = "anchor_generator.cell_anchors"


def warn_of_other_anchors(model: nn.Module, state: Mapping[str, Any], file: str | Path) -> None:
    """One warning when a plain state dict brings anchors that the detector has not and will not take over.

    Without MODEL.MIC.REFERENCE.LEGACY_BOXES anchors are no part of the state dict, and detectron2 drops a file's without a word.
    """
    own = {f"{path}.{level}": table for path, module in model.named_modules() if path.endswith(TABLES)
           for level, table in module.named_buffers()}  # fmt: skip
    loaded = model.state_dict()
    other = [name for name in own if name in state and name not in loaded and not same_anchors(own[name], state[name])]
    if other:
        logger.warning(
            "%s: its anchors differ from the configured ones at %d of %d levels, so the detections will not be the file's. Set "
            "MODEL.MIC.REFERENCE.LEGACY_BOXES True if it is a converted published detector, otherwise "
            "MODEL.ANCHOR_GENERATOR.SIZES and ASPECT_RATIOS to the file's.",
            *(file, len(other), len(own)),
        )


def same_anchors(own: torch.Tensor, other: torch.Tensor | np.ndarray) -> bool:
    """Whether two Ax4 tables are equal to a hundredth of a pixel."""
    other = torch.as_tensor(other, dtype=own.dtype, device=own.device)
    return own.shape == other.shape and torch.allclose(own, other, rtol=0, atol=0.01)
