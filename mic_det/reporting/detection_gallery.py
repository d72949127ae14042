"""A static HTML gallery of pseudo-labels: what the teacher says, what the student is shown, and what it finds."""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.data import MetadataCatalog
from detectron2.evaluation.coco_evaluation import instances_to_coco_json
from detectron2.structures import Instances
from tqdm import tqdm

from mic_det.adaptation import PseudoBoxes
from mic_det.config import num_classes
from mic_det.data.catalog import class_names, load_labelled, load_unlabelled
from mic_det.data.detection_mapper import TestMapper
from mic_det.data.stream import READ_ERRORS, seeded
from mic_det.errors import UserError
from mic_det.evaluation.matching import TRUE, ClassMatches, match_all
from mic_det.reporting import errors, report
from mic_det.reporting.detection_pictures import pseudo_label_row
from mic_det.reporting.drawing import draw_boxes, rgb
from mic_det.reporting.images import evenly
from mic_det.reporting.palette import legend_of
from mic_det.reporting.report import Section

THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
# What is said of a box of the diagnosis, and its line; colours are those of the classes.
VERDICTS = {"right": ("", "solid"), "wrong": ("wrong", "dashed"), "missed": ("missed", "dotted")}
DIAGNOSTIC = "diagnostic: uses target labels"


def write_gallery(
    cfg: CfgNode,
    model: Any,
    path: str | Path,
    source: str | None = None,
    truth: str | None = None,
    count: int = 24,
    seed: int = 0,
) -> list[str]:
    """Write the gallery to `path`.

    Args:
        model: MaskedConsistencyDetector in evaluation mode.
        source: unlabelled images: registered name, folder or COCO JSON.
        truth: instead of `source`, a labelled dataset; right, wrong and missed pseudo boxes are then shown and counted on its
            images. Its labels are used for nothing else.
        count: number of images, evenly spread.

    Returns:
        Names of unreadable files.

    Raises:
        UserError: when no image can be read.
    """
    records = load_labelled(truth) if truth else load_unlabelled(source or "")
    names = class_names(cfg.DATASETS.TRAIN[0], num_classes(cfg))
    content: dict[str, Any] = MetadataCatalog.get(truth).truth() if truth else {}
    if truth and MetadataCatalog.get(truth).thing_classes != names:
        raise UserError(f"'{truth}' has the classes {MetadataCatalog.get(truth).thing_classes}, the model {names}.")
    mapper, rows, unreadable, detections, seen = TestMapper(cfg), [], [], [], []
    for position, record in enumerate(tqdm(evenly(records, count), unit="image", disable=None)):
        try:
            sample = mapper(record)
        except READ_ERRORS:
            unreadable.append(record["file_name"])
            continue
        with seeded(seed, position):
            row, label = pseudo_label_row(cfg, model, sample, names)
        if truth:
            own = teacher_detections(model, sample, record)
            detections += own
            seen.append(record["image_id"])
            row.append(diagnosis(cfg, record, sample, label, content))
        rows.append(row)
    if not rows:
        raise UserError(f"None of the {len(records)} images of {truth or source} could be read.")
    marks = [(f"{kind} pseudo box", line) for kind, (_, line) in VERDICTS.items()] if truth else []
    sections = [report.picture_section("Images", rows, legend=legend_of(names), marks=marks)]
    if truth:
        sections.insert(0, diagnostic_section(restrict(content, seen), detections, cfg))
    subtitle = f"{truth or source}; {len(rows)} of {len(records)} images; threshold {cfg.MODEL.MIC.PSEUDO_LABELS.THRESHOLD:g}"
    report.write_report(path, "Pseudo-labels", f"{subtitle}; {DIAGNOSTIC}." if truth else f"{subtitle}.", [], sections)
    return unreadable


@torch.inference_mode()
def teacher_detections(model: Any, sample: dict, record: dict) -> list[dict]:
    """COCO results of the teacher on one image, category ids from 1."""
    sample = {**sample, "height": record["height"], "width": record["width"]}
    found = instances_to_coco_json(model.network("teacher")([sample])[0]["instances"].to("cpu"), record["image_id"])
    return [{**item, "category_id": item["category_id"] + 1} for item in found]


def restrict(content: dict, image_ids: Collection) -> dict:
    """A COCO dictionary of some images only."""
    kept = set(image_ids)
    annotations = [item for item in content["annotations"] if item["image_id"] in kept]
    return {**content, "images": [image for image in content["images"] if image["id"] in kept], "annotations": annotations}


def diagnosis(cfg: CfgNode, record: dict, sample: dict, label: PseudoBoxes, content: dict) -> tuple[str, np.ndarray]:
    """(caption, picture) of right, wrong and missed pseudo boxes on one image, in network-input pixels."""
    image = rgb(sample["image"].permute(1, 2, 0).numpy(), cfg.INPUT.FORMAT)
    scale = image.shape[1] / record["width"]
    truth = restrict(content, [record["image_id"]])
    truth["annotations"] = [{**item, "bbox": [value * scale for value in item["bbox"]]} for item in truth["annotations"]]
    matches = match_all(truth, pseudo_results(label, record["image_id"]))
    boxes, classes, verdicts = judged(matches)
    tally = ", ".join(f"{verdicts.count(VERDICTS[kind])} {kind}" for kind in ("right", "missed", "wrong"))
    return f"{tally} ({DIAGNOSTIC})", draw_boxes(image, boxes, classes, list(matches), verdicts=verdicts)


def judged(matches: dict[str, ClassMatches]) -> tuple[torch.Tensor, list[int], list[tuple[str, str]]]:
    """Nx4 XYXY boxes that are right, wrong or missed, the places of their classes in `matches`, and their VERDICTS."""
    boxes, classes, verdicts = [np.zeros((0, 4))], [], []
    for index, own in enumerate(matches.values()):
        groups = {
            "wrong": own.boxes[own.false],
            "missed": own.truth_boxes[own.found_at < 0],
            "right": own.boxes[own.kinds == TRUE],
        }
        for kind, found in groups.items():
            boxes.append(np.asarray(found).reshape(-1, 4))
            classes += [index] * len(found)
            verdicts += [VERDICTS[kind]] * len(found)
    corners = torch.from_numpy(np.concatenate(boxes))
    corners[:, 2:] += corners[:, :2]
    return corners, classes, verdicts


def pseudo_results(label: PseudoBoxes, image_id: int) -> list[dict]:
    """PseudoBoxes as COCO results, category ids from 1."""
    instances = label.instances.to("cpu")
    found = Instances(
        instances.image_size, pred_boxes=instances.gt_boxes, pred_classes=instances.gt_classes, scores=instances.gt_scores
    )
    return [{**item, "category_id": item["category_id"] + 1} for item in instances_to_coco_json(found, image_id)]


def diagnostic_section(content: dict, detections: list[dict], cfg: CfgNode) -> Section:
    """How many of the teacher's boxes above the threshold are right, by class and size."""
    matches = match_all(content, detections)
    threshold = cfg.MODEL.MIC.PSEUDO_LABELS.THRESHOLD
    return {
        "title": f"Precision and recall of the pseudo boxes ({DIAGNOSTIC})",
        "note": f"At IoU above 0.5, on the images below. The last table is at the configured threshold, {threshold:g}.",
        "tables": [
            errors.by_threshold(matches, THRESHOLDS),
            errors.by_class_and_threshold(matches, THRESHOLDS),
            errors.by_class(matches, threshold),
        ],
    }
