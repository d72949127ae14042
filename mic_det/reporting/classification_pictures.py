"""Pictures of what image classifiers see and say."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.data import MetadataCatalog
from torch import nn

from mic_det.adaptation import AdaptationBatch, MaskedConsistency
from mic_det.config import num_classes
from mic_det.data.catalog import class_names, load_labelled
from mic_det.data.classification import training_data
from mic_det.data.classification_mapper import ClassificationMapper
from mic_det.data.stream import seeded
from mic_det.reporting.drawing import denormalised, rgb
from mic_det.reporting.images import evenly, readable, training_samples
from mic_det.reporting.palette import LegendEntry

COLUMNS = 6
Row = list[tuple[str, np.ndarray]]  # (caption, HxWx3 uint8 RGB image)


def legend(cfg: CfgNode) -> list[LegendEntry]:
    """Nothing: captions name the classes."""
    return []


def in_rows(pictures: Row) -> list[Row]:
    """Rows of at most COLUMNS (caption, image) pairs."""
    return [pictures[start : start + COLUMNS] for start in range(0, len(pictures), COLUMNS)]


def answer(scores: torch.Tensor, names: Sequence[str]) -> str:
    """`class 0.87` of the best of K probabilities."""
    best = int(scores.argmax())
    return f"{names[best]} {float(scores[best]):.2f}"


@torch.inference_mode()
def comparison(cfg: CfgNode, networks: Mapping[str, nn.Module], dataset: str, count: int = 4) -> list[Row]:
    """Rows of (truth and every network's answer, image) on 3 * `count` images of a labelled dataset.

    Args:
        networks: caption -> classification network in evaluation mode.
    """
    mapper, pictures = ClassificationMapper(cfg, labelled=True, random=False), []
    records = load_labelled(dataset)  # the folders' names are the classes: known once they are read
    names = MetadataCatalog.get(dataset).thing_classes
    for _, sample in readable(evenly(records, 3 * count), mapper):
        answers = [f"{caption}: {answer(network([sample])[0]['scores'], names)}" for caption, network in networks.items()]
        caption = "; ".join([f"truth: {names[sample['label']]}", *answers])
        pictures.append((caption, rgb(sample["image"].permute(1, 2, 0).numpy(), cfg.INPUT.FORMAT)))
    return in_rows(pictures)


def lessons(cfg: CfgNode, model: Any, count: int = 3, seed: int = 0) -> list[Row]:
    """Rows on 2 * `count` target images, augmented as in training: image and pseudo-label, masked image and student's answer."""
    names, pictures = class_names(cfg.DATASETS.TRAIN[0], num_classes(cfg)), []
    for position, sample in enumerate(training_samples(training_data(cfg, labelled=False), 2 * count, seed)):
        with seeded(seed, position):
            pictures += lesson(cfg, model, sample, names)
    return in_rows(pictures)


@torch.inference_mode()
def lesson(cfg: CfgNode, model: Any, sample: dict, names: Sequence[str]) -> Row:
    """(caption, image) of a target sample with its pseudo-label, and of its masked view with the student's answer."""
    student, consistency = model.student, model.consistency or MaskedConsistency(cfg)
    images = student.preprocess_image(AdaptationBatch([], [sample]).target)
    was_training = model.training
    model.eval()
    label = answer(model.teacher_logits(images)[0].softmax(dim=0), names)
    view, removed = consistency.view(images)
    reply = answer(student.predict(view)[0].softmax(dim=0), names)
    model.train(was_training)
    complete, masked = (np.ascontiguousarray(rgb(denormalised(part[0], student), cfg.INPUT.FORMAT)) for part in (images, view))
    return [(f"teacher: {label}", complete), (f"{float(removed):.0%} removed; student: {reply}", masked)]
