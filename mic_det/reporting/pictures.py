"""Pictures of what models see and find."""

import numpy as np
import torch
from detectron2.data import DatasetMapper, MetadataCatalog
from detectron2.structures import BoxMode

from mic_det.config import num_classes
from mic_det.data.catalog import class_names, load_labelled, load_unlabelled
from mic_det.data.mapper import TrainingMapper
from mic_det.data.stream import seeded
from mic_det.reporting.drawing import denormalised, draw_boxes, draw_instances

MIN_SCORE = 0.5


def rgb(image, image_format):
    return np.ascontiguousarray(image[..., ::-1] if image_format == "BGR" else image)


def evenly(records, count):
    """`count` records spread over the whole list."""
    steps = np.linspace(0, len(records) - 1, min(count, len(records))).round().astype(int)
    return [records[index] for index in steps]


@torch.inference_mode()
def comparison(cfg, detectors, dataset, count=6):
    """Rows of (caption, image) for ground truth and every detector on `count` images of a labelled dataset.

    Args:
        detectors: caption -> plain detectron2 detector in evaluation mode.
    """
    records = load_labelled(dataset)
    names = MetadataCatalog.get(dataset).thing_classes
    mapper = DatasetMapper(cfg, is_train=False)
    rows = []
    for record in evenly([record for record in records if record["annotations"]], count):
        sample = mapper(record)
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
def masked_views(cfg, model, count=3, seed=0):
    """Rows of (caption, image): a target image with the teacher's pseudo boxes, and what the student is shown instead.

    Args:
        model: MaskedConsistencyDetector.
    """
    records = [record for name in cfg.DATASETS.TARGET for record in load_unlabelled(name)]
    names = class_names(cfg.DATASETS.TRAIN[0], num_classes(cfg))
    mapper = TrainingMapper(cfg, labelled=False)
    student, rows = model.student, []
    for record in evenly(records, count):
        with seeded(seed, record["image_id"] if isinstance(record["image_id"], int) else 0):
            images = student.preprocess_image([mapper(record)])
            label = model.pseudo_labels(model.teacher_predictions(images))[0]
            view, removed = model.consistency.view(images.tensor)
        height, width = images.image_sizes[0]
        shown = [rgb(denormalised(tensor[0, :, :height, :width], student), cfg.INPUT.FORMAT) for tensor in (images.tensor, view)]
        rows.append(
            [
                (f"teacher's pseudo boxes ({len(label.instances)})", draw_instances(shown[0], label.instances, names)),
                (f"what the student sees ({float(removed):.0%} removed)", draw_instances(shown[1], label.instances, names)),
            ]
        )
    return rows
