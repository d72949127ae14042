"""A static HTML gallery of pseudo-labels for segmentation; with labels at hand, also of where they are wrong."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.data import MetadataCatalog
from tqdm import tqdm

from mic_det.adaptation import AdaptationBatch
from mic_det.data.catalog import class_names, load_labelled, load_unlabelled
from mic_det.data.label_images import IGNORE, read_labels
from mic_det.data.segmentation_mapper import SegmentationTestMapper
from mic_det.data.stream import READ_ERRORS, seeded
from mic_det.errors import UserError
from mic_det.evaluation.pixels import confusion_matrix, pixel_metrics
from mic_det.reporting import report
from mic_det.reporting.detection_gallery import DIAGNOSTIC
from mic_det.reporting.drawing import rgb
from mic_det.reporting.images import evenly
from mic_det.reporting.report import Section
from mic_det.reporting.segmentation_pictures import colours_of, legend, lesson

WRONG = np.array([230, 25, 75])


def write_gallery(
    cfg: CfgNode,
    model: Any,
    path: str | Path,
    source: str | None = None,
    truth: str | None = None,
    count: int = 24,
    seed: int = 0,
) -> list[str]:
    """Write the gallery to `path`; arguments, result and errors as in `detection_gallery.write_gallery`."""
    records = load_labelled(truth) if truth else load_unlabelled(source or "")
    names = class_names(cfg.DATASETS.TRAIN[0], cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES)
    if truth and list(MetadataCatalog.get(truth).get("stuff_classes", [])) != names:
        raise UserError(f"'{truth}' has other classes than the model: {', '.join(names)}.")
    mapper, rows, unreadable, matrix = SegmentationTestMapper(cfg), [], [], torch.zeros(1, dtype=torch.long)
    for position, record in enumerate(tqdm(evenly(records, count), unit="image", disable=None)):
        try:
            sample = mapper(record)
            size = sample["height"], sample["width"]
            labels = read_labels(record["sem_seg_file_name"], len(names), size) if truth else None
        except READ_ERRORS:
            unreadable.append(record["file_name"])
            continue
        with seeded(seed, position):
            row = lesson(cfg, model, AdaptationBatch([], [sample]), colours_of(cfg))
        if labels is not None:
            found = teacher_labels(model, sample)
            matrix = matrix + confusion_matrix(torch.from_numpy(labels), found, len(names))
            row.append(diagnosis(cfg, sample, labels, found.numpy()))
        rows.append(row)
    if not rows:
        raise UserError(f"None of the {len(records)} images of {truth or source} could be read.")
    marks = [("wrong pixel of the teacher, on the dimmed image", "filled")] if truth else []
    sections = [report.picture_section("Images", rows, legend=legend(cfg), marks=marks)]
    if truth:
        sections.insert(0, diagnostic_section(matrix.numpy(), names))
    subtitle = f"{truth or source}; {len(rows)} of {len(records)} images; threshold {cfg.MODEL.MIC.PSEUDO_LABELS.THRESHOLD:g}"
    report.write_report(path, "Pseudo-labels", f"{subtitle}; {DIAGNOSTIC}." if truth else f"{subtitle}.", [], sections)
    return unreadable


@torch.inference_mode()
def teacher_labels(model: Any, sample: dict) -> torch.Tensor:
    """HxW labels of the teacher at the image's own size, on the CPU."""
    return model.network("teacher")([sample])[0]["sem_seg"].argmax(dim=0).cpu()


def diagnosis(cfg: CfgNode, sample: dict, labels: np.ndarray, found: np.ndarray) -> tuple[str, np.ndarray]:
    """(caption, picture) of the pixels that the teacher labels wrongly, in red on the dimmed image."""
    image = rgb(sample["image"].permute(1, 2, 0).numpy(), cfg.INPUT.FORMAT)
    wrong = (labels != found) & (labels != IGNORE)
    rows = np.arange(image.shape[0]) * labels.shape[0] // image.shape[0]
    columns = np.arange(image.shape[1]) * labels.shape[1] // image.shape[1]
    picture = (0.5 * image).astype(np.uint8)
    picture[wrong[rows][:, columns]] = WRONG
    share = wrong.sum() / max((labels != IGNORE).sum(), 1)
    return f"{share:.0%} of the pixels wrong ({DIAGNOSTIC})", picture


def diagnostic_section(matrix: np.ndarray, names: list[str]) -> Section:
    """IoU and precision per class of a KxK matrix of counts, true class by predicted class."""
    metrics = pixel_metrics(matrix, names)
    precision = matrix.diagonal() / np.maximum(matrix.sum(axis=0), 1)
    table = [["class", "IoU", "precision"]]
    table += [[name, f"{metrics[f'IoU/{name}']:.1f}", f"{100 * own:.1f}"] for name, own in zip(names, precision, strict=True)]
    return {
        "title": f"Quality of the pseudo-labels ({DIAGNOSTIC})",
        "note": f"On the images below, in percent; mIoU {metrics['mIoU']:.1f}, pixel accuracy {metrics['aAcc']:.1f}.",
        "tables": [table],
    }
