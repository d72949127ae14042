"""Initial weights: a mic-det checkpoint into student and teacher, or a plain network's into both."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import torch
from detectron2.checkpoint.c2_model_loading import align_and_update_state_dicts
from detectron2.modeling.backbone import ResNet
from torch import nn

from mic_det.checkpoint import torchvision_files
from mic_det.checkpoint.anchors import TABLES, warn_of_other_anchors
from mic_det.checkpoint.coverage import BACKBONE, Coverage, fill, listing
from mic_det.checkpoint.encoders import encoder_weights, is_public_encoder
from mic_det.checkpoint.published_detection import is_published
from mic_det.checkpoint.published_segmentation import is_published_segmentation
from mic_det.checkpoint.reading import read_weights
from mic_det.checkpoint.sources import find
from mic_det.errors import UserError
from mic_det.modeling.backbone.pooled import PooledNetwork

ALIGNMENT = "alignment."
# Parts of a meta-architecture beside student and teacher, which a run may have or not.
EXTRAS = (ALIGNMENT, "feature_distance.", "discriminator.", "mask_teacher.")
# LC-MSM's second decoder, which a trained model can do without.
LANGUAGE = ("student.language_head.", "teacher.model.language_head.")
# Computed from the config's text bank, which published files have not.
BANK = "language_head.text.bank"
# {backbone class: what to set when a file does not fit it}
CURES = {
    "MiT": "Set MODEL.MIT.VARIANT to the file's.",
    "ResNet": "Set MODEL.RESNETS.DEPTH, NUM_GROUPS and WIDTH_PER_GROUP to the file's.",
    "PooledNetwork": "Set MODEL.RESNETS.DEPTH or MODEL.TIMM.NAME to the file's.",
    "TimmFeatures": "Timm's own files are named by MODEL.TIMM.PRETRAINED_FILE, with MODEL.TIMM.NAME, and MODEL.WEIGHTS ''.",
}
PARTIAL = "MODEL.WEIGHTS_PARTIAL True goes on all the same."
logger = logging.getLogger(__name__)
State: TypeAlias = dict[str, torch.Tensor]


def is_mic_checkpoint(state: State) -> bool:
    """Whether a state dict has a student."""
    return any(key.startswith("student.") for key in state)


def load_weights(model: Any, path: str, download: bool = False, partial: bool = False, complete: bool = False) -> list[str]:
    """Load initial weights into a meta-architecture of mic-det and log what they filled, part by part.

    A mic-det checkpoint fills student and teacher; a plain network (detectron2's or Caffe2's naming, torchvision's and timm's
    ResNets, torchvision's Faster R-CNN, public encoders) fills the student, which the teacher then copies. '' leaves the
    random weights.

    Args:
        partial: accept whatever fits (MODEL.WEIGHTS_PARTIAL).
        complete: let nothing stay random, as predicting needs it.

    Returns:
        Names of the model's EXTRAS that a mic-det checkpoint lacks; they stay as they were initialised.

    Raises:
        UserError: when the file is missing or cannot be read, fills nothing or only a part of the backbone, or leaves anything
            random although `complete` is set.
    """
    if not path:
        return []
    file = find(path, download)
    content = read_weights(file)
    state = content["model"]
    if is_mic_checkpoint(state):
        state, missing = with_extras_of(model, state)
        if partial:
            report(fill(model, state), file)
        else:
            load_exactly(model, state, file)
        return missing
    if is_published(state) or is_published_segmentation(state):
        raise UserError(f"MODEL.WEIGHTS: {file} is in the published code's layout: convert it with `mic-det convert`.")
    warn_of_other_anchors(model.student, state, file)
    coverage = fill(model.student, named_like(model.student, content, file))
    report(coverage, file)
    check_coverage(coverage, model.student.backbone, file, partial, complete)
    model.start_from_student()
    logger.info("Loaded %s into student and teacher.", file)
    return []


def report(coverage: Coverage, file: str | Path) -> None:
    """Log what a file filled; a warning where shapes or parts of the backbone differ."""
    log = logger.warning if coverage.mismatched or coverage.backbone_gaps else logger.info
    log("What %s filled:\n%s", file, coverage.table())


def named_like(student: nn.Module, content: dict[str, Any], file: str | Path) -> State:
    """The state dict of a plain network's file in the names of the student."""
    state, own = content["model"], student.state_dict()
    bottom_up = getattr(student.backbone, "bottom_up", student.backbone)
    prefix = "backbone." if bottom_up is student.backbone else "backbone.bottom_up."
    if is_public_encoder(state):
        return {f"{prefix}{name}": value for name, value in encoder_weights(state).items()}
    if isinstance(bottom_up, ResNet) and torchvision_files.is_detector(state):
        return from_torchvision(torchvision_files.from_detector, state, student, file)
    if isinstance(bottom_up, ResNet) and torchvision_files.is_resnet(state):
        renamed = from_torchvision(torchvision_files.from_resnet, state, student, file)
        heads = "roi_heads."  # which hold res5 where there is no FPN
        return {(heads if f"{heads}{name}" in own else prefix) + name: value for name, value in renamed.items()}
    if isinstance(bottom_up, PooledNetwork) and any(f"{prefix}network.{name}" in own for name in state):
        return {f"{prefix}network.{name}": value for name, value in state.items()}
    if not content["matching_heuristics"]:
        return state
    try:
        return align_and_update_state_dicts(own, state, c2_conversion=content.get("__author__") == "Caffe2")
    except ValueError:  # one entry would fill several
        raise UserError(f"MODEL.WEIGHTS: the names in {file} cannot be told apart in the network of the config.") from None


def from_torchvision(
    convert: Callable[[State], tuple[State, list[str]]], state: State, student: nn.Module, file: str | Path
) -> State:
    """`convert` a file of torchvision or timm; warn where the config's settings are not those that it was trained with."""
    renamed, unknown = convert(state)
    if unknown:
        raise UserError(
            f"MODEL.WEIGHTS: {file} has {len(unknown)} entries that detectron2's network has no place for: {listing(unknown)}. "
            "Use a plain ResNet of torchvision or timm, or the first version of torchvision's Faster or Mask R-CNN."
        )
    wrong = torchvision_files.disagreements(student, detector=convert is torchvision_files.from_detector)
    if wrong:
        logger.warning("The weights of %s were trained with other settings than the config's: set %s.", file, "; ".join(wrong))
    return renamed


def check_coverage(coverage: Coverage, backbone: nn.Module, file: str | Path, partial: bool, complete: bool) -> None:
    """Raise UserError when too little was filled for what is to be done."""
    bottom_up = getattr(backbone, "bottom_up", backbone)
    cure = CURES.get(type(bottom_up).__name__, "Use the config that belongs to it.")
    filled, _ = coverage.counts.get(BACKBONE, (0, 0))
    shapes = [name for name in coverage.mismatched if coverage.part(name) == BACKBONE]
    if not (coverage.filled if partial else filled or shapes):
        raise UserError(f"MODEL.WEIGHTS: {file} holds no weight of the backbone {name_of(backbone)}. {cure}")
    if partial:
        return
    faults = {
        "have another shape": shapes,
        "stay random": coverage.backbone_gaps,
        "of the file have no place in it": coverage.backbone_surplus,
    }
    for what, names in faults.items():
        if names:
            raise UserError(
                f"MODEL.WEIGHTS: {file} does not fit the backbone {name_of(backbone)}: {len(names)} entries {what}: "
                f"{listing(names)}. {cure} {PARTIAL}"
            )
    if complete and coverage.random:
        raise UserError(
            f"MODEL.WEIGHTS: {file} leaves parts of the network random: {coverage.random_parts}. Name a trained checkpoint that "
            f"fits the config. {PARTIAL}"
        )


def name_of(backbone: nn.Module) -> str:
    """`FPN of ResNet` or `MiT`."""
    bottom_up = getattr(backbone, "bottom_up", None)
    return type(backbone).__name__ + (f" of {type(bottom_up).__name__}" if bottom_up is not None else "")


def with_extras_of(model: nn.Module, state: State) -> tuple[State, list[str]]:
    """(a mic-det state dict with exactly the model's EXTRAS, the model's own where it has none; names of those it has not).

    A language decoder that the model has not is left out; a text bank comes from the model, whose config names it.
    """
    expected = model.state_dict()
    own = {name: value for name, value in expected.items() if name.startswith(EXTRAS)}
    rest = {name: value for name, value in state.items() if name in expected or not name.startswith((*EXTRAS, *LANGUAGE))}
    missing = sorted({name.split(".")[0] for name in own.keys() - rest.keys()})
    if missing:
        logger.info("The checkpoint has no %s.", " and no ".join(missing))
    banks = {name: value for name, value in expected.items() if name.endswith(BANK)}
    return {**own, **banks, **rest}, missing


def load_exactly(model: nn.Module, state: State, file: str | Path) -> None:
    """Load a mic-det state dict; names that do not fit are an error that lists the first of them."""
    own = model.state_dict()
    shapes = {name: (tuple(state[name].shape), tuple(own[name].shape)) for name in own if name in state}
    wrong = sorted(set(own) ^ set(state))
    wrong += [f"{name} {there} in the file, {here} here" for name, (there, here) in shapes.items() if there != here]
    if wrong:
        cure = "Set MODEL.MIC.REFERENCE.LEGACY_BOXES as it was" if TABLES in wrong[0] else "Use the config it was trained with"
        raise UserError(f"{file} does not fit the configured model: {len(wrong)} entries differ, e.g. {wrong[0]}. {cure}.")
    model.load_state_dict(state)
    logger.info("Loaded student and teacher from %s.", file)
