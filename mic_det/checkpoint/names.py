"""Renaming the entries of state dicts."""

from collections.abc import Mapping
from typing import TypeVar

import torch

StateDict = dict[str, torch.Tensor]
T = TypeVar("T")


def part(state: Mapping[str, T], prefix: str) -> dict[str, T]:
    """The entries below `prefix`, without it."""
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}


def rename(state: Mapping[str, T], modules: Mapping[str, str]) -> tuple[dict[str, T], list[str]]:
    """Give entries the names of their modules' counterparts.

    Args:
        modules: {module name: new module name}.

    Returns:
        (renamed state, names of entries whose module is unknown).
    """
    renamed, unknown = {}, []
    for name, value in state.items():
        module, _, leaf = name.rpartition(".")
        if module in modules:
            renamed[f"{modules[module]}.{leaf}"] = value
        else:
            unknown.append(name)
    return renamed, unknown
