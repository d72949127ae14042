"""A static HTML gallery of pseudo-labels for classification; with classes at hand, also of how many are right."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from detectron2.config import CfgNode
from detectron2.data import MetadataCatalog
from tqdm import tqdm

from mic_det.config import num_classes
from mic_det.data.catalog import class_names, load_labelled, load_unlabelled
from mic_det.data.classification_mapper import ClassificationMapper
from mic_det.data.stream import READ_ERRORS, seeded
from mic_det.errors import UserError
from mic_det.reporting import report
from mic_det.reporting.classification_pictures import in_rows, lesson
from mic_det.reporting.detection_gallery import DIAGNOSTIC
from mic_det.reporting.images import evenly
from mic_det.reporting.report import Section


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
    names = class_names(cfg.DATASETS.TRAIN[0], num_classes(cfg))
    if truth and MetadataCatalog.get(truth).thing_classes != names:
        raise UserError(f"'{truth}' has other classes than the model: {', '.join(names)}.")
    mapper, pictures, unreadable, found = ClassificationMapper(cfg, random=False), [], [], []
    for position, record in enumerate(tqdm(evenly(records, count), unit="image", disable=None)):
        try:
            sample = mapper(record)
        except READ_ERRORS:
            unreadable.append(record["file_name"])
            continue
        with seeded(seed, position):
            (caption, image), masked = lesson(cfg, model, sample, names)
        if truth:
            found.append((record["label"], teacher_class(model, sample)))
            right = "right" if found[-1][0] == found[-1][1] else f"in truth {names[record['label']]}"
            caption = f"{caption} ({right})"
        pictures += [(caption, image), masked]
    if not pictures:
        raise UserError(f"None of the {len(records)} images of {truth or source} could be read.")
    sections = [report.picture_section("Images", in_rows(pictures))]
    if truth:
        sections.insert(0, diagnostic_section(found, names))
    subtitle = f"{truth or source}; {len(pictures) // 2} of {len(records)} images"
    report.write_report(path, "Pseudo-labels", f"{subtitle}; {DIAGNOSTIC}." if truth else f"{subtitle}.", [], sections)
    return unreadable


@torch.inference_mode()
def teacher_class(model: Any, sample: dict) -> int:
    """Index of the class that the teacher gives an image."""
    return int(model.network("teacher")([sample])[0]["scores"].argmax())


def diagnostic_section(found: Sequence[tuple[int, int]], names: list[str]) -> Section:
    """Recall and precision per class of (true, pseudo) pairs."""
    truth, pseudo = np.array(found).T
    rows: list[list[Any]] = [["class", "images", "labelled right, %", "pseudo-labels", "of them right, %"]]
    for index, name in enumerate(names):
        own, said = truth == index, pseudo == index
        hits = (own & said).sum()
        shares = [f"{100 * hits / total:.0f}" if total else "-" for total in (own.sum(), said.sum())]
        rows.append([name, int(own.sum()), shares[0], int(said.sum()), shares[1]])
    note = f"On the images below: {100 * (truth == pseudo).mean():.1f} % of the teacher's labels are right."
    return {"title": f"Quality of the pseudo-labels ({DIAGNOSTIC})", "note": note, "tables": [rows]}
