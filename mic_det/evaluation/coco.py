"""COCO metrics with per-class AP50 and a correct overall value for a single class."""

import contextlib
import io
import logging
from collections import Counter, OrderedDict
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from detectron2.data import MetadataCatalog
from detectron2.evaluation import DatasetEvaluator
from detectron2.evaluation.coco_evaluation import instances_to_coco_json
from detectron2.utils import comm
from detectron2.utils.logger import log_first_n

from mic_det.data.classes import category_names, sorted_categories
from mic_det.data.coco_schema import validate_detections
from mic_det.data.faults import Faults
from mic_det.data.masks import encoded
from mic_det.data.records import Content, Item, Sample
from mic_det.errors import UserError
from mic_det.evaluation.metrics import Metrics
from mic_det.evaluation.voc import METRICS, voc_metrics
from mic_det.outputs import write_json

try:
    from faster_coco_eval import COCO
    from faster_coco_eval import COCOeval_faster as COCOeval
except ImportError:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

DETECTIONS_PER_IMAGE = 100  # COCO's rule, and detectron2's default of TEST.DETECTIONS_PER_IMAGE


def mean_precision(precision: np.ndarray) -> float:
    """Mean over everything that has ground truth, in percent; NaN when nothing has."""
    valid = precision[precision > -1]
    return float(100 * valid.mean()) if valid.size else float("nan")


def coco_metrics(content: Content, detections: list[Item], kind: str = "bbox", most: int = DETECTIONS_PER_IMAGE) -> Metrics:
    """Evaluate detections in COCO results format.

    Args:
        content: usable COCO dictionary with the ground truth; see `mic_det.data.coco.usable_content`.
        detections: list of {"image_id", "category_id", "bbox" (XYWH) or "segmentation", "score"}.
        kind: "bbox" or "segm".
        most: detections of an image that count, the most confident ones; a negative number counts all.

    Returns:
        OrderedDict of percentages: "AP", "AP50", "AP75", then "AP/<class>" and "AP50/<class>" for every class. A class
        without ground truth is NaN and does not enter the means.
    """
    content, detections = renumbered(content, detections)
    with contextlib.redirect_stdout(io.StringIO()):  # both libraries print their progress
        truth = COCO()
        truth.dataset = content
        truth.createIndex()
        # An empty list has no columns for the library to index.
        found = truth.loadRes(detections) if detections else COCO()
        evaluation = COCOeval(truth, found, kind)
        evaluation.params.maxDets = [most if most >= 0 else max(len(detections), 1)]
        # Sizes are not told apart: without the upper limit of 1e10 pixels, no area is wrong.
        evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, float("inf")]], ["all"]
        evaluation.evaluate()
        evaluation.accumulate()
    # IoU thresholds x recalls x classes x areas x detections per image
    precision = np.asarray(evaluation.eval["precision"])[..., 0, 0]
    class_names = category_names(content)
    metrics = OrderedDict(AP=mean_precision(precision), AP50=mean_precision(precision[0]), AP75=mean_precision(precision[5]))
    for index, name in enumerate(class_names):
        metrics[f"AP/{name}"] = mean_precision(precision[:, :, index])
    for index, name in enumerate(class_names):
        metrics[f"AP50/{name}"] = mean_precision(precision[0, :, index])
    return metrics


def renumbered(content: Content, detections: Iterable[Item]) -> tuple[Content, list[Item]]:
    """Both with images, categories and annotations numbered from 1 on, and with all fields that either library reads.

    The libraries take an annotation's number 0 for "not found", keep one annotation of each number, and sort ids.
    """
    images = {image["id"]: number for number, image in enumerate(content["images"], start=1)}
    categories = {category["id"]: number for number, category in enumerate(sorted_categories(content), start=1)}

    def linked(item: Item) -> Item:
        return {**item, "image_id": images[item["image_id"]], "category_id": categories[item["category_id"]]}

    annotations = [
        {**linked(item), "id": number, "area": item["bbox"][2] * item["bbox"][3], "iscrowd": item.get("iscrowd", 0)}
        for number, item in enumerate(content["annotations"], start=1)
    ]
    truth = {
        "images": [{**image, "id": images[image["id"]]} for image in content["images"]],
        "categories": [{**category, "id": categories[category["id"]]} for category in content["categories"]],
        "annotations": annotations,
    }
    return truth, [linked(item) for item in detections]


def mask_metrics(content: Content, detections: Sequence[Item], most: int = DETECTIONS_PER_IMAGE) -> Metrics:
    """`coco_metrics` of masks. Objects without a usable mask are ignored, as crowds are, within their box.

    Args:
        detections: COCO results; all with a "segmentation", else UserError.

    Returns:
        As `coco_metrics`; all NaN, with a warning, when no object has a mask.
    """
    images = {image["id"]: (image.get("height"), image.get("width")) for image in content["images"]}
    found, faults = [], Faults()
    for index, item in enumerate(detections):
        try:
            # Without its box, so that COCO takes the mask's area.
            mask = encoded(item.get("segmentation"), *images[item["image_id"]])
        except ValueError as error:
            raise UserError(f"detections[{index}].segmentation: {error}: all detections need a mask, or none.") from None
        found.append({**{key: item[key] for key in ("image_id", "category_id", "score")}, "segmentation": mask})
    annotations = []
    for item in content["annotations"]:
        size = images[item["image_id"]]
        try:
            annotations.append({**item, "segmentation": encoded(item.get("segmentation"), *size)})
        except ValueError as error:
            faults.add(
                "object ignored in mask AP because it has no usable mask",
                f"{item['bbox']} in image {item['image_id']!r}: {error}",
            )
            if None not in size:
                annotations.append({**item, "iscrowd": 1, "segmentation": encoded([corners(item["bbox"])], *size)})
    faults.report("Evaluation")
    return coco_metrics({**content, "annotations": annotations}, found, "segm", most)


def corners(box: Sequence[float]) -> list[float]:
    """The polygon around an XYWH box."""
    x, y, width, height = box
    return [x, y, x + width, y, x + width, y + height, x, y + height]


def all_metrics(content: Content, detections: list[Item], voc: Sequence[str] = (), most: int = DETECTIONS_PER_IMAGE) -> Metrics:
    """COCO's box metrics, with masks also "mask_AP", "mask_AP50", "mask_AP75", and VOC's where asked for.

    Args:
        content: usable COCO dictionary with the ground truth; see `mic_det.data.coco.usable_content`.
        detections: list of COCO results.
        voc: any of "voc07", "voc12"; they count all detections.
        most: detections of an image that count, the most confident ones; a negative number counts all.

    Raises:
        UserError: for an unknown metric, image or category, and for broken detections.
    """
    unknown = [name for name in voc if name not in METRICS]
    if unknown:
        raise UserError(f"TEST.VOC_METRICS: '{unknown[0]}' is not known; choose from {', '.join(METRICS)}.")
    detections = validate_detections(detections, "The list of detections")
    check_detections(content, detections)
    warn_of_many(content["annotations"], most)
    results = coco_metrics(content, detections, most=most)
    if any(item.get("segmentation") is not None for item in detections):
        masks = mask_metrics(content, detections, most)
        results.update({f"mask_{name}": masks[name] for name in ("AP", "AP50", "AP75")})
    for metric in voc:
        results.update(voc_metrics(content, detections, metric))
    return results


def warn_of_many(annotations: Iterable[Item], most: int) -> None:
    """Say once that some images have more objects than detections that count."""
    objects = Counter(item["image_id"] for item in annotations if not item.get("iscrowd", 0))
    crowded = [image for image, count in objects.items() if 0 <= most < count]
    if crowded:
        message = (
            f"{len(crowded)} test images have more objects than the {most} detections per image that count, e.g. "
            f"{objects[crowded[0]]} in image {crowded[0]!r}: raise TEST.DETECTIONS_PER_IMAGE."
        )
        log_first_n(logging.WARNING, message, key="message")


def check_detections(content: Content, detections: Sequence[Item]) -> None:
    """Raise UserError when a detection is of an image or a category that the ground truth does not have."""
    for key, known in (("image_id", content["images"]), ("category_id", content["categories"])):
        ids = {item["id"] for item in known}
        strange = next((item[key] for item in detections if item[key] not in ids), None)
        if strange is not None:
            raise UserError(f"The detections have the {key} {strange!r}, which the annotations do not have.")


class BoxEvaluator(DatasetEvaluator):
    """Collects a detector's boxes (and masks) and evaluates them with `all_metrics`.

    With `output_dir`, the detections are written to `<output_dir>/coco_results.json`.
    """

    def __init__(
        self, dataset_name: str, output_dir: str | Path | None = None, voc: Sequence[str] = (), most: int = DETECTIONS_PER_IMAGE
    ) -> None:
        self.metadata = MetadataCatalog.get(dataset_name)
        self.output_dir = output_dir
        self.voc = voc
        self.most = most
        self.detections: list[Item] = []

    def reset(self) -> None:
        """Forget what was seen."""
        self.detections = []

    def process(self, inputs: Sequence[Sample], outputs: Sequence[Sample]) -> None:
        """Note what was found on a batch; outputs have "instances" at the images' own sizes."""
        for sample, output in zip(inputs, outputs, strict=True):
            instances = output["instances"].to(torch.device("cpu"))
            self.detections += instances_to_coco_json(instances, sample["image_id"])

    def evaluate(self) -> Metrics | None:
        """Return the metrics on the main process, None on the others."""
        parts = comm.gather(self.detections)
        if not comm.is_main_process():
            return None
        content = self.metadata.truth()
        category_ids = [category["id"] for category in sorted_categories(content)]
        detections = [
            {**detection, "category_id": category_ids[detection["category_id"]]} for part in parts for detection in part
        ]
        if self.output_dir:
            write_json(Path(self.output_dir) / "coco_results.json", detections)
        return all_metrics(content, detections, self.voc, self.most)
