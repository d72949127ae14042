"""Pictures of what segmentation networks see and say."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.data import MetadataCatalog
from torch import nn

from mic_det.adaptation import AdaptationBatch, MaskedConsistency
from mic_det.data.catalog import class_names, load_labelled
from mic_det.data.label_images import default_colours, read_labels
from mic_det.data.segmentation import training_data
from mic_det.data.segmentation_mapper import SegmentationTestMapper
from mic_det.data.stream import seeded
from mic_det.reporting.drawing import denormalised, rgb
from mic_det.reporting.images import evenly, readable, training_samples
from mic_det.reporting.palette import LegendEntry, legend_of

UNLABELLED = (0, 0, 0)
Row = list[tuple[str, np.ndarray]]  # (caption, HxWx3 uint8 RGB image)


def legend(cfg: CfgNode) -> list[LegendEntry]:
    """Classes and the colours of their pixels."""
    return legend_of(class_names(cfg.DATASETS.TRAIN[0], cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES), colours_of(cfg))


def colours_of(cfg: CfgNode) -> Sequence[Sequence[int]]:
    """RGB triples of the source's classes; a fixed palette where the source is not registered here."""
    metadata = MetadataCatalog.get(cfg.DATASETS.TRAIN[0])
    return metadata.get("stuff_colors") or default_colours(cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES)


def colour_labels(labels: np.ndarray | torch.Tensor, colours: Sequence[Sequence[int]]) -> np.ndarray:
    """HxW class indices -> HxWx3 uint8 RGB; anything beyond the classes is black."""
    table = np.full((256, 3), UNLABELLED, dtype=np.uint8)
    table[: len(colours)] = colours
    return table[np.asarray(labels, dtype=np.uint8)]


def overlay(
    image: np.ndarray, labels: np.ndarray | torch.Tensor, colours: Sequence[Sequence[int]], opacity: float = 0.6
) -> np.ndarray:
    """Label colours over an HxWx3 uint8 RGB image of the same size."""
    mixed = (1 - opacity) * image + opacity * colour_labels(labels, colours)
    return mixed.astype(np.uint8)


@torch.inference_mode()
def comparison(cfg: CfgNode, networks: Mapping[str, nn.Module], dataset: str, count: int = 4) -> list[Row]:
    """Rows of (caption, image) for image, ground truth and every network on `count` images of a labelled dataset.

    Args:
        networks: caption -> segmentation network in evaluation mode.
    """
    colours, mapper, rows = MetadataCatalog.get(dataset).stuff_colors, SegmentationTestMapper(cfg), []

    def read(record: dict) -> tuple[dict, np.ndarray]:
        return mapper(record), read_labels(record["sem_seg_file_name"])

    for _, (sample, truth) in readable(evenly(load_labelled(dataset), count), read):
        image = rgb(sample["image"].permute(1, 2, 0).numpy(), cfg.INPUT.FORMAT)
        row = [("image", image), ("ground truth", colour_labels(truth, colours))]
        for caption, network in networks.items():
            labels = network([sample])[0]["sem_seg"].argmax(dim=0).cpu()
            row.append((caption, colour_labels(labels, colours)))
        rows.append(row)
    return rows


def lessons(cfg: CfgNode, model: Any, count: int = 3, seed: int = 0) -> list[Row]:
    """Rows on a few target images, augmented as in training: pseudo-label, mixed image, masked image, the student's answer."""
    colours, rows = colours_of(cfg), []
    source, target = (training_samples(training_data(cfg, labelled), count, seed) for labelled in (True, False))
    for position, pair in enumerate(zip(source, target, strict=False)):
        with seeded(seed, position):
            rows.append(lesson(cfg, model, AdaptationBatch(*([sample] for sample in pair)), colours))
    return rows


@torch.inference_mode()
def lesson(cfg: CfgNode, model: Any, batch: AdaptationBatch, colours: Sequence[Sequence[int]]) -> Row:
    """One row of `lessons` for a batch of one target sample and one source sample, or none."""
    student, consistency = model.student, model.consistency or MaskedConsistency(cfg)
    images = student.preprocess_image(batch.target).tensor
    view, removed = consistency.view(images)
    was_training = model.training
    model.eval()  # a picture must not move the statistics of a teacher that collects its own
    logits = model.teacher_logits(model.teacher, images)
    answer = student.predict(view, student.consistency_head)[0].argmax(dim=0)
    model.train(was_training)
    labels, weights, qualities = model.pseudo_labels(logits, model.valid_pixels(batch.target))

    def picture(image: torch.Tensor) -> np.ndarray:
        return rgb(denormalised(image[0], student), cfg.INPUT.FORMAT)

    complete, masked = picture(images), picture(view)
    row = [
        ("target", complete),
        (f"teacher's pseudo-label (quality {float(qualities.mean()):.2f})", overlay(complete, labels[0].cpu(), colours)),
    ]
    if model.mixing is not None and batch.source:
        source = student.preprocess_image(batch.source).tensor, student.labels(batch.source)
        mixed, mixed_labels, _ = model.mixing((*source, torch.ones_like(weights)), (images, labels, weights))
        mixed = model.augment(mixed) if model.augment is not None else mixed
        row += [("mixed with source classes", picture(mixed)), ("its label", colour_labels(mixed_labels[0].cpu(), colours))]
    row += [
        (f"masked ({float(removed):.0%} removed)", masked),
        ("what the student says there", colour_labels(answer.cpu(), colours)),
    ]
    return row
