"""Pictures of what models see and find."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.data import MetadataCatalog
from detectron2.structures import BoxMode, ImageList
from torch import nn

from mic_det.adaptation import MaskedConsistency, PseudoBoxes
from mic_det.config import num_classes
from mic_det.data.catalog import class_names, load_labelled
from mic_det.data.detection import training_data
from mic_det.data.detection_mapper import TestMapper
from mic_det.data.stream import seeded
from mic_det.reporting.drawing import denormalised, draw_boxes, draw_instances, rgb
from mic_det.reporting.images import evenly, readable, training_samples
from mic_det.reporting.palette import LegendEntry, legend_of

MIN_SCORE = 0.5
Row = list[tuple[str, np.ndarray]]  # (caption, HxWx3 uint8 RGB image)


def legend(cfg: CfgNode) -> list[LegendEntry]:
    """Classes and the colours of their boxes."""
    return legend_of(class_names(cfg.DATASETS.TRAIN[0], num_classes(cfg)))


@torch.inference_mode()
def comparison(cfg: CfgNode, detectors: Mapping[str, nn.Module], dataset: str, count: int = 6) -> list[Row]:
    """Rows of (caption, image) for ground truth and every detector on `count` images of a labelled dataset.

    Args:
        detectors: caption -> plain detectron2 detector in evaluation mode.
    """
    records = load_labelled(dataset)
    names = MetadataCatalog.get(dataset).thing_classes
    rows = []
    for record, sample in readable(evenly([record for record in records if record["annotations"]], count), TestMapper(cfg)):
        image = rgb(sample["image"].permute(1, 2, 0).numpy(), cfg.INPUT.FORMAT)
        # Everything is drawn on the network's input.
        sample["height"], sample["width"] = image.shape[:2]
        scale = image.shape[1] / record["width"]
        boxes = [BoxMode.convert(item["bbox"], item["bbox_mode"], BoxMode.XYXY_ABS) for item in record["annotations"]]
        classes = [item["category_id"] for item in record["annotations"]]
        row = [("ground truth", draw_boxes(image, torch.tensor(boxes) * scale, classes, names))]
        for caption, detector in detectors.items():
            row.append((caption, draw_instances(image, detector([sample])[0]["instances"], names, MIN_SCORE)))
        rows.append(row)
    return rows


@torch.inference_mode()
def pseudo_label_row(cfg: CfgNode, model: Any, sample: dict, names: list[str]) -> tuple[Row, PseudoBoxes]:
    """What one unlabelled sample teaches: [(caption, image)] and the PseudoBoxes.

    The pictures are the complete image with the teacher's pseudo boxes, the masked input with the same boxes, and the masked
    input with what the student finds in it.

    Args:
        model: MaskedConsistencyDetector; its student is left in the mode it was in.
        sample: what a mapper returns: "image" CxHxW.
        names: class names.
    """
    student, consistency = model.student, model.consistency or MaskedConsistency(cfg)
    images = student.preprocess_image([sample])
    label = model.pseudo_labels(model.teacher_predictions(images))[0]
    view, removed = consistency.view(images.tensor)
    was_training = student.training
    prediction = model.adapter.predict(student.eval(), ImageList(view, images.image_sizes))[0]
    student.train(was_training)
    height, width = images.image_sizes[0]
    complete, masked = (
        rgb(denormalised(tensor[0, :, :height, :width], student), cfg.INPUT.FORMAT) for tensor in (images.tensor, view)
    )
    row = [
        (f"teacher's pseudo boxes ({len(label.instances)})", draw_instances(complete, label.instances, names)),
        (f"what the student sees ({float(removed):.0%} removed)", draw_instances(masked, label.instances, names)),
        ("what the student finds there", draw_instances(masked, prediction, names, MIN_SCORE)),
    ]
    return row, label


def lessons(cfg: CfgNode, model: Any, count: int = 3, seed: int = 0) -> list[Row]:
    """Rows of `pseudo_label_row` for a few of the target's images, augmented as in training."""
    names, rows = class_names(cfg.DATASETS.TRAIN[0], num_classes(cfg)), []
    for position, sample in enumerate(training_samples(training_data(cfg, labelled=False), count, seed)):
        with seeded(seed, position):
            rows.append(pseudo_label_row(cfg, model, sample, names)[0])
    return rows
