"""Keys of datasets and images that all tasks share."""

import math
from collections.abc import Sequence
from typing import Annotated, Any

from detectron2.config import CfgNode

from .ranges import Name, Share, that


def add_data_config(cfg: CfgNode) -> None:
    """Add these keys to a config, in place."""
    # Unlabelled target: registered datasets, folders of images or COCO JSON files; their labels are never read.
    cfg.DATASETS.TARGET = ()
    # Datasets to declare without code: mappings as mic_det/data/declaration.py explains, or paths of YAML files of them.
    cfg.DATASETS.DECLARE = ()
    # Values of images that become black and white: (low, high), ("min", "max") for each image's own, () for the whole range of
    # its number type (8 or 16 bits, or floats from 0 to 1).
    cfg.INPUT.RANGE = ()
    # Strength of brightness, contrast and saturation jitter of labelled training images; 0 is off.
    cfg.INPUT.COLOR_JITTER = 0.0


def is_range(value: Sequence[Any]) -> bool:
    """Whether INPUT.RANGE can be `value`."""
    if len(value) != 2:
        return len(value) == 0
    low, high = value
    numbers = [end for end, word in ((low, "min"), (high, "max")) if end != word]
    finite = all(type(end) in (int, float) and math.isfinite(end) for end in numbers)
    return finite and (len(numbers) < 2 or low < high)


RANGES = {
    "DATASETS.TARGET": tuple[Name, ...],
    "DATASETS.DECLARE": tuple[Name | dict, ...],
    "INPUT.RANGE": Annotated[tuple, that(is_range, "must be (low, high) with low < high, ('min', 'max') or ()")],
    "INPUT.COLOR_JITTER": Share,
}
