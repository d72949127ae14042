"""Checkpoints between three layouts: mic-det's (student and teacher), plain detectron2's, and the published code's."""

import logging
from collections.abc import Collection
from pathlib import Path

from detectron2.config import CfgNode, get_cfg
from detectron2.modeling import build_model

from mic_det.checkpoint import published_detection, published_segmentation, torchvision_files
from mic_det.checkpoint.names import StateDict, part
from mic_det.checkpoint.published_detection import is_published
from mic_det.checkpoint.published_segmentation import is_published_segmentation, networks_of
from mic_det.checkpoint.reading import read_weights
from mic_det.checkpoint.weights import ALIGNMENT, BANK, EXTRAS, LANGUAGE, is_mic_checkpoint
from mic_det.config import known_keys
from mic_det.errors import UserError
from mic_det.modeling import backbone
from mic_det.tasks import task_of
from mic_det.validation import refuse

logger = logging.getLogger(__name__)
PREFIXES = {"student": "student.", "teacher": "teacher.model."}


def check_unmatched(names: Collection[str], allowed: bool, where: str | Path) -> None:
    """Log every name of an entry that has no counterpart; raise UserError unless that is allowed."""
    if not names:
        return
    listing = "\n  ".join(sorted(names))
    logger.warning("%d entries of %s have no counterpart:\n  %s", len(names), where, listing)
    if not allowed:
        raise UserError(
            f"{len(names)} entries of {where} have no counterpart (listed above): add --allow-unmatched to go on without."
        )


def read_models(path: str | Path, allow_unmatched: bool = False) -> tuple[StateDict, StateDict, StateDict]:
    """(student, teacher, extras) state dicts of a checkpoint in any of the three layouts; one model serves as both.

    The extras are what EXTRAS names: domain classifiers, features that distances are measured to and so on.
    """
    state = read_weights(path)["model"]
    if is_mic_checkpoint(state):
        known = (*PREFIXES.values(), *EXTRAS)
        check_unmatched([name for name in state if not name.startswith(known)], allow_unmatched, path)
        return part(state, PREFIXES["student"]), part(state, PREFIXES["teacher"]), extras_of(state)
    if is_published_segmentation(state):
        return read_segmentation(state, path, allow_unmatched)
    unknown: list[str] = []
    if is_published(state):
        state, unknown = published_detection.from_published(state)
    elif torchvision_files.is_detector(state):
        state, unknown = torchvision_files.from_detector(state)
    check_unmatched(unknown, allow_unmatched, path)
    plain = {name: value for name, value in state.items() if not name.startswith(EXTRAS)}
    return plain, plain, extras_of(state)


def extras_of(state: StateDict) -> StateDict:
    """Entries that belong to neither student nor teacher."""
    return {name: value for name, value in state.items() if name.startswith(EXTRAS)}


def read_segmentation(state: StateDict, path: str | Path, allow_unmatched: bool) -> tuple[StateDict, StateDict, StateDict]:
    """`read_models` of a published segmentation checkpoint: with a teacher only when it is one of a training run."""
    networks, unknown = networks_of(state)
    found = {}
    for network, own in networks.items():
        found[network], strange = published_segmentation.from_published(own)
        unknown += [f"{network}: {name}" for name in strange]
    check_unmatched(unknown, allow_unmatched, path)
    encoder = part(found.get("feature_distance", {}), "backbone.")
    extras = {f"feature_distance.backbone.{name}": value for name, value in encoder.items()}
    return found["student"], found.get("teacher", found["student"]), extras


def mic_checkpoint(path: str | Path, teacher_path: str | Path | None = None, allow_unmatched: bool = False) -> StateDict:
    """A mic-det state dict from any checkpoint; with `teacher_path`, that file's model is the teacher."""
    student, teacher, extras = read_models(path, allow_unmatched)
    if teacher_path:
        teacher = read_models(teacher_path, allow_unmatched)[1]
    parts = ((PREFIXES["student"], student), (PREFIXES["teacher"], teacher), ("", extras))
    return {f"{prefix}{name}": value for prefix, state in parts for name, value in state.items()}


def plain_checkpoint(path: str | Path, model: str, allow_unmatched: bool = False) -> StateDict:
    """The plain detectron2 state dict of the "student" or "teacher" of any checkpoint."""
    student, teacher, _ = read_models(path, allow_unmatched)
    return student if model == "student" else teacher


def published_checkpoint(path: str | Path, model: str, allow_unmatched: bool = False, head: str | None = None) -> StateDict:
    """The "student" or "teacher", and a detector's domain classifiers, in the published naming.

    Args:
        head: MODEL.SEM_SEG_HEAD.NAME; it decides where a decoder's entries cannot (`published_segmentation.own_head`).
    """
    student, teacher, extras = read_models(path, allow_unmatched)
    state = student if model == "student" else teacher
    if any(name.startswith("sem_seg_head.") for name in state):
        state, unknown = published_segmentation.to_published(state, head)
        outside = tuple(published_segmentation.PROJECTION)
        state = {name if name.startswith(outside) else f"model.{name}": value for name, value in state.items()}
        # The features of an ImageNet encoder do not change: the published code reads them from that encoder's file.
        unknown += [name for name in extras if not name.startswith("feature_distance.")]
    else:
        if not has_legacy_boxes(state):
            logger.warning(
                "%s was trained without MODEL.MIC.REFERENCE.LEGACY_BOXES: the published code, whose anchors and pooling differ, "
                "will detect slightly other boxes with it.",
                path,
            )
        state, unknown = published_detection.to_published({**state, **extras})
    check_unmatched(unknown, allow_unmatched, path)
    return state


def has_legacy_boxes(state: StateDict) -> bool:
    """Whether a mic-det or plain state dict is of a detector with MODEL.MIC.REFERENCE.LEGACY_BOXES, which keeps its anchors."""
    return any(published_detection.ANCHORS in name for name in state)


def with_legacy_boxes(cfg: CfgNode, state: StateDict) -> CfgNode:
    """The config, with LEGACY_BOXES when the state dict is of such a detector."""
    if has_legacy_boxes(state):
        cfg = cfg.clone()
        cfg.MODEL.MIC.REFERENCE.LEGACY_BOXES = True
    return cfg


def check_fit(cfg: CfgNode, state: StateDict, allow_unmatched: bool = False) -> None:
    """Compare a mic-det or plain state dict with the configured model; raise UserError when they do not fit."""
    task_of(cfg)  # a sentence for configs that are not mic-det's
    model = build_model(cfg)
    own = (model if is_mic_checkpoint(state) else model.student).state_dict()
    shapes = [
        f"{name} is {tuple(state[name].shape)} in the checkpoint, {tuple(own[name].shape)} in the model"
        for name in own
        if name in state and own[name].shape != state[name].shape
    ]
    refuse("The checkpoint and the configured model differ in shapes (is it the config that it was trained with?)", shapes)
    optional = tuple(extra for extra in EXTRAS if extra != ALIGNMENT or not cfg.MODEL.MIC.ALIGN.ENABLED)
    optional += () if cfg.MODEL.LANGUAGE_HEAD.ENABLED else (*LANGUAGE, "language_head.")
    wrong = {name for name in set(own) ^ set(state) if not name.startswith(optional) and not name.endswith(BANK)}
    check_unmatched(wrong, allow_unmatched, "the checkpoint or the configured model")


def stock_config(cfg: CfgNode, weights: str | Path) -> CfgNode | None:
    """The student's config without mic-det's keys, for detectron2's own tools; None when only mic-det has such a student.

    Raises:
        UserError: when the student has a backbone that only mic-det registers, or legacy boxes.
    """
    if cfg.MODEL.META_ARCHITECTURE != "MaskedConsistencyDetector":
        return None
    if cfg.MODEL.MIC.REFERENCE.LEGACY_BOXES:
        raise UserError(
            "Stock detectron2 has neither the anchors nor the pooling of MODEL.MIC.REFERENCE.LEGACY_BOXES and would detect other "
            "boxes: use the checkpoint where mic_det is imported, or leave --config-file out to write the weights alone."
        )
    if cfg.MODEL.BACKBONE.NAME in backbone.__all__:
        raise UserError(f"Stock detectron2 has no {cfg.MODEL.BACKBONE.NAME}: use the checkpoint where mic_det is imported.")
    stock = get_cfg()
    for key in list(known_keys(stock)):
        node, source = stock, cfg
        *path, leaf = key.split(".")
        for name in path:
            node, source = node[name], source[name]
        node[leaf] = source[leaf]
    stock.MODEL.META_ARCHITECTURE = cfg.MODEL.MIC.STUDENT
    stock.MODEL.WEIGHTS = str(weights)
    return stock


def legacy_config(cfg: CfgNode, weights: str | Path) -> CfgNode | None:
    """The config for a detector with LEGACY_BOXES where mic_det is imported; None for others, which the given config fits."""
    if not cfg.MODEL.MIC.REFERENCE.LEGACY_BOXES:
        return None
    cfg = cfg.clone()
    cfg.MODEL.WEIGHTS = str(weights)
    return cfg
