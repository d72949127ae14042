"""One schema for all config keys: the ranges that stand beside their defaults, otherwise the default's type."""

from functools import cache
from typing import Any

from detectron2.config import CfgNode, get_cfg
from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

from mic_det.validation import faults_of

from . import backbone, classification, common, data, detection, log, method, segmentation, solver, stock
from .loading import known_keys, value_of
from .ranges import Flag, Number, Text, Whole

DECLARING = (stock, method, detection, segmentation, classification, backbone, data, solver, log)
RANGES: dict[str, Any] = {key: kind for module in DECLARING for key, kind in module.RANGES.items()}
BY_DEFAULT = {bool: Flag, int: Whole, float: Number, str: Text, tuple: tuple, list: tuple}


@cache
def schema() -> TypeAdapter:
    """Of {full key: value} of a whole config."""
    defaults = common.add_mic_config(get_cfg())
    kinds = {key: RANGES.get(key, BY_DEFAULT.get(type(value_of(defaults, key)), Any)) for key in known_keys(defaults)}
    build: Any = TypedDict  # type checkers want its keys spelled out
    return TypeAdapter(build("Config", kinds))


def range_faults(cfg: CfgNode) -> list[str]:
    """One phrase for each value out of its range: the key, what was found and what is allowed."""
    try:
        schema().validate_python({key: value_of(cfg, key) for key in known_keys(cfg)})
    except ValidationError as error:
        return faults_of(error)
    return []
