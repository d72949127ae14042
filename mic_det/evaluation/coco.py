"""COCO box metrics with per-class AP50 and a correct overall value for a single class."""

import contextlib
import io
import json
from collections import OrderedDict
from pathlib import Path

import numpy as np
import torch
from detectron2.data import MetadataCatalog
from detectron2.evaluation import DatasetEvaluator
from detectron2.evaluation.coco_evaluation import instances_to_coco_json
from detectron2.utils import comm

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


def coco_box_metrics(annotation_file, detections, class_names):
    """Evaluate detections in COCO results format.

    Args:
        annotation_file: COCO JSON with the ground truth; its categories, sorted by id, are `class_names`.
        detections: list of {"image_id", "category_id", "bbox" (XYWH), "score"}.
        class_names: names in the order of the category ids.

    Returns:
        OrderedDict of percentages: "AP", "AP50", "AP75", then "AP/<class>" and "AP50/<class>" for every class. A class
        without ground truth is NaN and does not enter the means.
    """
    with contextlib.redirect_stdout(io.StringIO()):  # both libraries print their progress
        truth = COCO(str(annotation_file))
        # An empty list has no columns for the library to index.
        found = truth.loadRes(detections) if detections else COCO()
        evaluation = COCOeval(truth, found, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
    # IoU thresholds x recalls x classes x areas x detections per image; all areas, most detections
    precision = np.asarray(evaluation.eval["precision"])[..., 0, -1]
    metrics = OrderedDict(AP=mean_precision(precision), AP50=mean_precision(precision[0]), AP75=mean_precision(precision[5]))
    for index, name in enumerate(class_names):
        metrics[f"AP/{name}"] = mean_precision(precision[:, :, index])
    for index, name in enumerate(class_names):
        metrics[f"AP50/{name}"] = mean_precision(precision[0, :, index])
    return metrics


class BoxEvaluator(DatasetEvaluator):
    """Collects a detector's boxes and evaluates them with `coco_box_metrics`.

    With `output_dir`, the detections are written to `<output_dir>/coco_results.json`.
    """

    def __init__(self, dataset_name, output_dir=None):
        self.metadata = MetadataCatalog.get(dataset_name)
        self.output_dir = output_dir
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
        category_ids = sorted(category["id"] for category in json.loads(Path(self.metadata.json_file).read_text())["categories"])
        detections = [
            {**detection, "category_id": category_ids[detection["category_id"]]} for part in parts for detection in part
        ]
        if self.output_dir:
            Path(self.output_dir).mkdir(parents=True, exist_ok=True)
            (Path(self.output_dir) / "coco_results.json").write_text(json.dumps(detections))
        return coco_box_metrics(self.metadata.json_file, detections, self.metadata.thing_classes)
