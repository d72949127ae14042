"""What every adapting meta-architecture is: a student, its teacher, and how training and evaluation reach them."""

from typing import Any

import torch
from detectron2.config import CfgNode
from detectron2.modeling import BACKBONE_REGISTRY, META_ARCH_REGISTRY, ROI_HEADS_REGISTRY
from torch import nn

from mic_det.adaptation import AdaptationBatch, EMATeacher
from mic_det.errors import UserError, did_you_mean, registered, user_errors
from mic_det.modeling.reference_switches import warn_of_idle_switches

NETWORKS = ("teacher", "student")
Losses = dict[str, torch.Tensor]


class AdaptingModel(nn.Module):
    """A student and its teacher.

    In training `forward` takes an AdaptationBatch, or one of its `parts`, and returns losses; in evaluation it takes
    detectron2's list of dicts and returns the predictions of `inference_model`.

    Every task's step reads the same way, with the numbers of the trainer's: 2. the teacher labels the complete target images,
    3. the student gets a masked view of them, 4. it answers, 5. its losses against the labels are weighted.

    Attributes:
        diagnostics: what the last training step saw, as numbers or 0-dim tensors; the trainer averages and logs them.
        has_idle_parts: whether parts of it get gradients only while it adapts.
        uses_pseudo_labels: whether it learns from what the teacher says about the target.
    """

    student: nn.Module
    has_idle_parts: bool = False
    uses_pseudo_labels: bool = False

    def __init__(self, student: nn.Module, teacher: EMATeacher, inference: str) -> None:
        """
        Args:
            student: the network that is trained.
            teacher: EMATeacher of the student.
            inference: "teacher" or "student", which of them predicts in evaluation mode.

        Raises:
            UserError: for another `inference`.
        """
        super().__init__()
        if inference not in NETWORKS:
            raise UserError(f"MODEL.MIC.INFERENCE must be 'teacher' or 'student', got '{inference}'.")
        self.student = student
        self.teacher = teacher
        self.inference_model = inference
        self.diagnostics: dict[str, float | torch.Tensor] = {}

    @property
    def device(self) -> torch.device:
        """Where its weights are, and where its input is moved to."""
        return next(self.student.parameters()).device

    def network(self, name: str) -> nn.Module:
        """The plain network called "teacher" or "student". Raises UserError for another name."""
        if name not in NETWORKS:
            raise UserError(f"A model has a teacher and a student, but no '{name}'.{did_you_mean(name, NETWORKS)}")
        return self.teacher.model if name == "teacher" else self.student

    def trained_modules(self) -> list[nn.Module]:
        """What the main optimizer steps."""
        return [self.student]

    def teachers(self) -> list[EMATeacher]:
        """All that follow the student."""
        return [self.teacher]

    def update_teacher(self, iteration: int, adapts: bool = True) -> None:
        """Step 1 of an iteration, which learns from the target if it `adapts`: the teachers move towards the student."""
        for teacher in self.teachers():
            teacher.update(self.student, iteration, adapts and self.uses_pseudo_labels)

    def start_from_student(self) -> None:
        """Take over the student's weights, which were just loaded, wherever training begins with a copy of them."""
        for teacher in self.teachers():
            teacher.copy_from(self.student)

    def running_state(self) -> dict[str, Any]:
        """Plain values outside the state dict that a resumed run needs."""
        return {}

    def parts(self, batch: AdaptationBatch) -> list[Any]:
        """What `forward` takes one after the other in a training step, whose losses add up to the batch's."""
        return [batch]


def build_student(cfg: CfgNode, kind: type = object) -> nn.Module:
    """The registered meta-architecture that adapts. Reference switches without effect are named in a warning.

    Raises:
        UserError: when it or one of its parts is not registered, it is not a `kind`, or cannot be built with the config's values.
    """
    name = cfg.MODEL.MIC.STUDENT
    architecture = registered(META_ARCH_REGISTRY, name, "MODEL.MIC.STUDENT")
    registered(BACKBONE_REGISTRY, cfg.MODEL.BACKBONE.NAME, "MODEL.BACKBONE.NAME")
    registered(ROI_HEADS_REGISTRY, cfg.MODEL.ROI_HEADS.NAME, "MODEL.ROI_HEADS.NAME")
    if not issubclass(architecture, kind):
        raise UserError(
            f"MODEL.MIC.STUDENT: {name} is no {kind.__name__}, which {cfg.MODEL.META_ARCHITECTURE} needs: choose that or a "
            "subclass of it."
        )
    warn_of_idle_switches(cfg)
    with user_errors(f"MODEL.{name}"):
        return architecture(cfg)
