"""Block masks (Hoyer et al., MIC, CVPR 2023, section 3.2)."""

from typing import Any

import torch
from detectron2.config import CfgNode, configurable


class BlockMask:
    """Removes random square blocks of images.

    Every block of `block_size` x `block_size` pixels of every image is removed independently with probability `ratio`;
    blocks at the right and bottom border are cut off where the size is no multiple. All channels share a mask.
    """

    @configurable
    def __init__(self, block_size: int, ratio: float) -> None:
        """
        Args:
            block_size: side of a block in pixels of the network's input, at least 1.
            ratio: probability in [0, 1] that a block is removed. 0 makes MIC a plain mean teacher.
        """
        if block_size < 1:
            raise ValueError(f"The mask's block size must be at least 1 pixel, got {block_size}.")
        if not 0 <= ratio <= 1:
            raise ValueError(f"The mask ratio must lie in [0, 1], got {ratio}.")
        self.block_size = block_size
        self.ratio = ratio

    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        return {"block_size": cfg.MODEL.MIC.MASK.BLOCK_SIZE, "ratio": cfg.MODEL.MIC.MASK.RATIO}

    def sample(self, images: torch.Tensor) -> torch.Tensor:
        """Draw the pixels to keep for NxCxHxW `images`: a bool tensor Nx1xHxW on their device."""
        count, _, height, width = images.shape
        blocks = (count, 1, -(-height // self.block_size), -(-width // self.block_size))
        keep = torch.rand(blocks, device=images.device) >= self.ratio
        keep = keep.repeat_interleave(self.block_size, 2)[:, :, :height]
        return keep.repeat_interleave(self.block_size, 3)[..., :width]

    def __call__(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (masked images, share of removed pixels as a 0-dim tensor).

        Removed pixels become 0, which in a *normalised* image is the dataset's mean colour.
        """
        if self.ratio == 0:
            return images, images.new_zeros(())
        keep = self.sample(images)
        return images * keep, 1 - keep.float().mean()
