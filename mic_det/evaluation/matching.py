"""Which detections are right: matching with ground truth by the rule of PASCAL VOC (Everingham et al., IJCV 2010)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torchvision.ops import box_iou

from mic_det.data.classes import sorted_categories
from mic_det.data.records import Content, Item

TRUE, DUPLICATE, WRONG, IGNORED = range(4)
SIZES = {"small": (0, 32**2), "medium": (32**2, 96**2), "large": (96**2, float("inf"))}  # area in pixels, as in COCO


@dataclass
class ClassMatches:
    """Detections of one class over a dataset, most confident first, and its ground truth.

    Attributes:
        scores: N.
        kinds: N of TRUE, DUPLICATE (its object was found by a more confident detection), WRONG, IGNORED (matches a
            difficult or crowd object).
        boxes: Nx4 XYWH in pixels.
        truth_boxes: Mx4 XYWH, of the objects that count.
        found_at: M, score of the detection that found each object; -inf when none did.
    """

    scores: np.ndarray
    kinds: np.ndarray
    boxes: np.ndarray
    truth_boxes: np.ndarray
    found_at: np.ndarray

    @property
    def areas(self) -> np.ndarray:
        """N, of the detections in square pixels."""
        return self.boxes[:, 2] * self.boxes[:, 3]

    @property
    def truth_areas(self) -> np.ndarray:
        """M, of the objects in square pixels."""
        return self.truth_boxes[:, 2] * self.truth_boxes[:, 3]

    @property
    def false(self) -> np.ndarray:
        """N bool."""
        return np.isin(self.kinds, (DUPLICATE, WRONG))

    def counts(self, min_score: float, size: str | None = None) -> tuple[int, int, int]:
        """(true, false, missed) at a least score, of all sizes or one of SIZES; a false detection has its own size."""
        low, high = SIZES[size] if size else (0, float("inf"))
        truth = (self.truth_areas >= low) & (self.truth_areas < high)
        true = int((truth & (self.found_at >= min_score)).sum())
        false = self.false & (self.scores >= min_score) & (self.areas >= low) & (self.areas < high)
        return true, int(false.sum()), int(truth.sum()) - true


def to_xyxy(boxes: Sequence[Sequence[float]]) -> torch.Tensor:
    """Nx4 float64 corners of N XYWH boxes."""
    corner, size = torch.as_tensor(boxes, dtype=torch.float64).reshape(-1, 4).split(2, dim=1)
    return torch.cat([corner, corner + size], dim=1)


def match_class(truth: Sequence[Item], detections: Iterable[Item], iou_threshold: float = 0.5) -> ClassMatches:
    """Match one class.

    Every detection belongs to the object it overlaps most. It is true when their IoU is above the threshold and no more
    confident detection found that object.

    Args:
        truth: COCO annotations; "difficult" or "iscrowd" ones count neither as found nor as missed.
        detections: COCO results.
    """
    by_image: dict[int | str, list[int]] = {}
    for place, item in enumerate(truth):
        by_image.setdefault(item["image_id"], []).append(place)
    # A stable sort, so that equal scores keep the file's order.
    detections = sorted(detections, key=lambda detection: -detection["score"])
    overlaps = best_overlaps(truth, by_image, detections)
    # By place, not by id: ids may be missing or stand twice.
    found_at = {place: -np.inf for place, item in enumerate(truth) if counts(item)}
    kinds = []
    for detection, (overlap, nearest) in zip(detections, overlaps, strict=True):
        if overlap <= iou_threshold:
            kinds.append(WRONG)
        elif nearest is None or nearest not in found_at:
            kinds.append(IGNORED)
        elif found_at[nearest] > -np.inf:
            kinds.append(DUPLICATE)
        else:
            found_at[nearest] = detection["score"]
            kinds.append(TRUE)
    return ClassMatches(
        scores=np.array([detection["score"] for detection in detections]),
        kinds=np.array(kinds, dtype=int),
        boxes=np.array([detection["bbox"] for detection in detections], dtype=float).reshape(-1, 4),
        truth_boxes=np.array([item["bbox"] for item in truth if counts(item)], dtype=float).reshape(-1, 4),
        found_at=np.array(list(found_at.values())),
    )


def counts(item: Item) -> bool:
    """Whether an annotation is an object that can be found or missed."""
    return not item.get("difficult", 0) and not item.get("iscrowd", 0)


def best_overlaps(
    truth: Sequence[Item], by_image: Mapping[int | str, list[int]], detections: Sequence[Item]
) -> list[tuple[float, int | None]]:
    """(largest IoU, place in `truth` of the annotation it is with) for each detection.

    Args:
        by_image: {image id: places in `truth`}.
    """
    places: dict[int | str, list[int]] = {}
    for place, detection in enumerate(detections):
        places.setdefault(detection["image_id"], []).append(place)
    result: list[tuple[float, int | None]] = [(0.0, None)] * len(detections)
    for image_id, own in places.items():
        objects = by_image.get(image_id)
        if objects:
            boxes = to_xyxy([truth[place]["bbox"] for place in objects])
            values, best = box_iou(to_xyxy([detections[place]["bbox"] for place in own]), boxes).max(dim=1)
            for place, value, index in zip(own, values.tolist(), best.tolist(), strict=True):
                result[place] = (value, objects[index])
    return result


def match_all(content: Content, detections: Iterable[Item], iou_threshold: float = 0.5) -> dict[str, ClassMatches]:
    """{class name: ClassMatches} of a COCO dictionary and COCO results, in the order of the category ids."""
    categories = sorted_categories(content)
    truth: dict[int | str, list[Item]] = {category["id"]: [] for category in categories}
    found: dict[int | str, list[Item]] = {category["id"]: [] for category in categories}
    for items, groups in ((content.get("annotations", []), truth), (detections, found)):
        for item in items:
            groups[item["category_id"]].append(item)
    return {category["name"]: match_class(truth[category["id"]], found[category["id"]], iou_threshold) for category in categories}


def precision_recall(matches: ClassMatches) -> tuple[np.ndarray, np.ndarray]:
    """(precision, recall), each N, after every detection that is not ignored; recall is NaN without ground truth."""
    true = matches.kinds[matches.kinds != IGNORED] == TRUE
    found = np.cumsum(true)
    with np.errstate(invalid="ignore"):
        return found / np.arange(1, len(true) + 1), found / np.float64(len(matches.truth_areas))
