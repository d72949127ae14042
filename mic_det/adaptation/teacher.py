"""The exponential-moving-average teacher (Tarvainen & Valpola, Mean Teacher, NeurIPS 2017)."""

import copy
from collections.abc import Iterable
from typing import Any, TypeAlias

import torch
from detectron2.config import CfgNode, configurable
from torch import nn
from typing_extensions import Self

Pair: TypeAlias = tuple[torch.Tensor, torch.Tensor]  # the teacher's and the student's


class EMATeacher(nn.Module):
    """A copy of the student whose weights follow the student's slowly.

    It never trains: no gradients, always in evaluation mode. Its weights are part of the state dict as `model.*`.
    """

    @configurable
    def __init__(
        self, student: nn.Module, alpha: float, ramp: bool = False, batch_statistics: bool = False, copied: Iterable[str] = ()
    ) -> None:
        """
        Args:
            student: module to copy; the teacher starts equal to it.
            alpha: share of the teacher that survives one update, in [0, 1].
            ramp: use min(1 - 1 / (t + 1), alpha) at iteration t, which averages the first iterations evenly.
            batch_statistics: while the parent trains, batch normalisation uses the statistics of the teacher's own batches
                and collects its own buffers, as the published segmentation and classification code does.
            copied: beginnings of the names of parameters that are copied from the student instead of averaged.
        """
        super().__init__()
        if not 0 <= alpha <= 1:
            raise ValueError(f"The teacher's alpha must lie in [0, 1], got {alpha}.")
        self.model = copy.deepcopy(student).requires_grad_(False).eval()
        self.alpha = alpha
        self.ramp = ramp
        self.batch_statistics = batch_statistics
        self.averaged = [not name.startswith(tuple(copied)) for name, _ in student.named_parameters()]

    @classmethod
    def from_config(cls, cfg: CfgNode, student: nn.Module, copied: Iterable[str] = ()) -> dict[str, Any]:
        return {
            "student": student,
            "alpha": cfg.MODEL.MIC.TEACHER.ALPHA,
            "ramp": cfg.MODEL.MIC.TEACHER.RAMP,
            "batch_statistics": cfg.MODEL.MIC.TEACHER.BATCH_STATISTICS,
            "copied": copied,
        }

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode whatever the parent module does, but for `batch_statistics`."""
        super().train(False)
        if self.batch_statistics:
            for module in self.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.train(mode)
        return self

    def alpha_at(self, iteration: int) -> float:
        """The share of the teacher that survives the update of an iteration, counted from 0."""
        return min(1 - 1 / (iteration + 1), self.alpha) if self.ramp else self.alpha

    @torch.no_grad()
    def copy_from(self, student: nn.Module) -> None:
        """Become equal to the student."""
        self.model.load_state_dict(student.state_dict())

    @torch.no_grad()
    def update(self, student: nn.Module, iteration: int, answers: bool = True) -> None:
        """teacher <- alpha * teacher + (1 - alpha) * student for parameters, in place; buffers and `copied` are copied.

        With `batch_statistics`, buffers are the teacher's own as soon as it `answers`. Until then nothing would move them with
        the weights, and an evaluation would find the statistics of the first weights.

        Args:
            student: the module this teacher was made from.
            iteration: 0-based training iteration, which sets alpha during the ramp.
            answers: whether the teacher is asked in this iteration; no more than a function of config and iteration, so that
                resumed and shared runs agree.
        """
        pairs: list[Pair] = list(zip(self.model.parameters(), (p.detach() for p in student.parameters()), strict=True))
        averaged = [pair for pair, average in zip(pairs, self.averaged, strict=True) if average]
        copied = [pair for pair, average in zip(pairs, self.averaged, strict=True) if not average]
        if not (self.batch_statistics and answers):
            copied += zip(self.model.buffers(), student.buffers(), strict=True)
        torch._foreach_lerp_(*unzipped(averaged), 1 - self.alpha_at(iteration))
        if copied:
            torch._foreach_copy_(*unzipped(copied))


def unzipped(pairs: list[Pair]) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """The teacher's tensors and the student's."""
    return [own for own, _ in pairs], [other for _, other in pairs]
