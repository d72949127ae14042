"""Sharpness-aware minimisation (Foret et al., SAM, ICLR 2021), used for classification by SDAT (Rangwani et al., ICML 2022)."""

import contextlib
from collections.abc import Iterable, Iterator

import torch
from detectron2.config import CfgNode
from torch import nn

from mic_det.engine.optimizer import gradient_norm
from mic_det.errors import UserError
from mic_det.modeling.meta_arch.adapting import AdaptingModel


class SharpnessAware:
    """Takes the descent's gradient where the loss is highest nearby: at w + rho * g / |g| (equation 2).

    Running statistics of batch normalisation follow both passes, as in the published code.
    """

    def __init__(self, parameters: Iterable[nn.Parameter], rho: float) -> None:
        """
        Args:
            parameters: those that are moved.
            rho: distance, in the units of the weights; positive.
        """
        self.parameters = [parameter for parameter in parameters if parameter.requires_grad]
        self.rho = rho

    @contextlib.contextmanager
    def ascended(self) -> Iterator[None]:
        """Inside, the weights are moved along their gradients, which are cleared; afterwards they are exactly as before.

        They stay where they are when a gradient is not finite.
        """
        moved: list[torch.Tensor] = [parameter for parameter in self.parameters if parameter.grad is not None]
        gradients = [parameter.grad for parameter in self.parameters if parameter.grad is not None]
        with torch.no_grad():
            before = [parameter.clone() for parameter in moved]
            norm = gradient_norm(moved)
            steps = torch._foreach_mul(gradients, self.rho / (norm + 1e-12))
            # Where gradients are not finite there is no direction: weights moved all the same would leave their mark in
            # running statistics, which outlive the step that is then skipped.
            torch._foreach_add_(moved, [torch.where(norm.isfinite(), step, 0) for step in steps])
        for parameter in self.parameters:
            parameter.grad = None
        try:
            yield
        finally:
            with torch.no_grad():
                torch._foreach_copy_(moved, before)


def build_sharpness(cfg: CfgNode, core: AdaptingModel) -> SharpnessAware | None:
    """SharpnessAware over the student for SOLVER.SAM_RHO, or None for 0.

    Raises UserError for a negative distance or a model without an ascent.
    """
    rho = cfg.SOLVER.SAM_RHO
    if rho < 0:
        raise UserError(f"SOLVER.SAM_RHO is a distance and cannot be negative, got {rho}; 0 turns it off.")
    if rho == 0:
        return None
    if not hasattr(core, "ascent"):
        raise UserError(f"SOLVER.SAM_RHO: {type(core).__name__} does not support sharpness-aware minimisation; set it to 0.")
    return SharpnessAware(core.student.parameters(), rho)
