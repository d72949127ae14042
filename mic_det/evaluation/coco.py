"""COCO metrics with per-class AP50 and a correct overall value for a single class."""

import contextlib
import io
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch
from detectron2.data import MetadataCatalog
from detectron2.evaluation import DatasetEvaluator
from detectron2.evaluation.coco_evaluation import instances_to_coco_json
from detectron2.utils import comm

from mic_det.data.classes import category_names
from mic_det.errors import UserError
from mic_det.evaluation.voc import METRICS, voc_metrics
from mic_det.outputs import write_json

try:
    from faster_coco_eval import COCO
    from faster_coco_eval import COCOeval_faster as COCOeval
except ImportError:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval


def mean_precision(precision):
    """Mean over everything that has ground truth, in percent; NaN when nothing has."""
    valid = precision[precision > -1]
    return float(100 * valid.mean()) if valid.size else float("nan")


def coco_metrics(content, detections, kind="bbox"):
    """Evaluate detections in COCO results format.

    Args:
        content: COCO dictionary with the ground truth.
        detections: list of {"image_id", "category_id", "bbox" (XYWH) or "segmentation", "score"}.
        kind: "bbox" or "segm".

    Returns:
        OrderedDict of percentages: "AP", "AP50", "AP75", then "AP/<class>" and "AP50/<class>" for every class. A class
        without ground truth is NaN and does not enter the means.
    """
    with contextlib.redirect_stdout(io.StringIO()):  # both libraries print their progress
        truth = COCO()
        # Copies, because both libraries write into what they get.
        truth.dataset = {**content, "annotations": [dict(item) for item in content["annotations"]]}
        truth.createIndex()
        # An empty list has no columns for the library to index.
        found = truth.loadRes([dict(item) for item in detections]) if detections else COCO()
        evaluation = COCOeval(truth, found, kind)
        evaluation.evaluate()
        evaluation.accumulate()
    # IoU thresholds x recalls x classes x areas x detections per image; all areas, most detections
    precision = np.asarray(evaluation.eval["precision"])[..., 0, -1]
    class_names = category_names(content)
    metrics = OrderedDict(AP=mean_precision(precision), AP50=mean_precision(precision[0]), AP75=mean_precision(precision[5]))
    for index, name in enumerate(class_names):
        metrics[f"AP/{name}"] = mean_precision(precision[:, :, index])
    for index, name in enumerate(class_names):
        metrics[f"AP50/{name}"] = mean_precision(precision[0, :, index])
    return metrics


def all_metrics(content, detections, voc=()):
    """COCO's box metrics, with masks also "mask_AP", "mask_AP50", "mask_AP75", and VOC's where asked for.

    Args:
        content: COCO dictionary with the ground truth.
        detections: list of COCO results.
        voc: any of "voc07", "voc12".

    Raises:
        UserError: for an unknown metric, image or category.
    """
    unknown = [name for name in voc if name not in METRICS]
    if unknown:
        raise UserError(f"TEST.VOC_METRICS: '{unknown[0]}' is not known; choose from {', '.join(METRICS)}.")
    check_detections(content, detections)
    results = coco_metrics(content, detections)
    if any("segmentation" in item for item in detections) and "segmentation" in next(iter(content["annotations"]), {}):
        masks = coco_metrics(content, [without_box(item) for item in detections], "segm")
        results.update({f"mask_{name}": masks[name] for name in ("AP", "AP50", "AP75")})
    for metric in voc:
        results.update(voc_metrics(content, detections, metric))
    return results


def without_box(detection):
    """So that COCO takes the mask's area, not the box's."""
    return {key: value for key, value in detection.items() if key != "bbox"}


def check_detections(content, detections):
    """Raise UserError when a detection is of an image or a category that the ground truth does not have."""
    for key, known in (("image_id", content["images"]), ("category_id", content.get("categories", []))):
        ids = {item["id"] for item in known}
        strange = next((item.get(key) for item in detections if item.get(key) not in ids), None)
        if strange is not None:
            raise UserError(f"The detections have the {key} {strange}, which the annotations do not have.")


class BoxEvaluator(DatasetEvaluator):
    """Collects a detector's boxes (and masks) and evaluates them with `all_metrics`.

    With `output_dir`, the detections are written to `<output_dir>/coco_results.json`.
    """

    def __init__(self, dataset_name, output_dir=None, voc=()):
        self.metadata = MetadataCatalog.get(dataset_name)
        self.output_dir = output_dir
        self.voc = voc
        self.detections = []

    def reset(self):
        self.detections = []

    def process(self, inputs, outputs):
        for sample, output in zip(inputs, outputs, strict=True):
            instances = output["instances"].to(torch.device("cpu"))
            self.detections += instances_to_coco_json(instances, sample["image_id"])

    def evaluate(self):
        """Return the metrics on the main process, None on the others."""
        parts = comm.gather(self.detections)
        if not comm.is_main_process():
            return None
        content = self.metadata.truth()
        category_ids = sorted(category["id"] for category in content["categories"])
        detections = [
            {**detection, "category_id": category_ids[detection["category_id"]]} for part in parts for detection in part
        ]
        if self.output_dir:
            write_json(Path(self.output_dir) / "coco_results.json", detections)
        return all_metrics(content, detections, self.voc)
