"""The state dict in what other libraries save around it."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mic_det.errors import UserError

# Keys that libraries save a state dict under, the trained model before its moving average.
WRAPPERS = (
    *("model", "state_dict", "model_state_dict", "model_state", "network", "net", "module", "params", "weights"),
    *("ema", "model_ema", "ema_model", "state_dict_ema", "ema_state_dict"),
)
# What wrappers put before every name: DataParallel, torch.compile, and common training loops.
PREFIXES = ("module.", "_orig_mod.", "model.", "network.", "net.")
SHOWN = 5  # names in a message
TENSORS = (torch.Tensor, np.ndarray, np.generic)
logger = logging.getLogger(__name__)


def state_dict_of(content: object, file: str | Path) -> dict[str, Any]:
    """The state dict in a file's content, without the prefixes that all its names share.

    Raises:
        UserError: when there is none, it is empty, or it holds something else than tensors and arrays.
    """
    while isinstance(content, Mapping):
        wrappers = [key for key in WRAPPERS if isinstance(content.get(key), Mapping)]
        if not wrappers:
            break
        if len(wrappers) > 1:
            logger.info("%s holds %s: '%s' is taken.", file, ", ".join(wrappers), wrappers[0])
        content = content[wrappers[0]]
    return without_prefixes(checked(content, file))


def checked(state: object, file: str | Path) -> Mapping[str, Any]:
    """`state`, which maps names to tensors or arrays. Raises UserError when it does not."""
    if not isinstance(state, Mapping):
        raise UserError(f"{file} holds a {type(state).__name__}, not a state dict: save model.state_dict(), and name that file.")
    if not state:
        raise UserError(f"{file} holds no weights: its state dict is empty.")
    inner = [str(key) for key, value in state.items() if isinstance(value, Mapping)]
    if inner:
        raise UserError(
            f"{file} holds no state dict under a known name ({', '.join(WRAPPERS[:3])}, ...) but {', '.join(inner[:SHOWN])}: "
            "save the one that is meant as a file of its own."
        )
    strange = [f"{key} ({type(value).__name__})" for key, value in state.items() if not isinstance(value, TENSORS)]
    strange += [f"{key!r} (a name that is no text)" for key in state if not isinstance(key, str)]
    if strange:
        raise UserError(
            f"{file} is no state dict: {len(strange)} of its {len(state)} entries are no tensors, e.g. "
            f"{', '.join(strange[:SHOWN])}. Save model.state_dict() alone, and name that file."
        )
    return state


def without_prefixes(state: Mapping[str, Any]) -> dict[str, Any]:
    """A state dict without what stands before all of its names."""
    state = dict(state)
    while prefix := next((prefix for prefix in PREFIXES if all(name.startswith(prefix) for name in state)), None):
        state = {name.removeprefix(prefix): value for name, value in state.items()}
    return state
