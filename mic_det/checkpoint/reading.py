"""Reading a weight file of any library into a state dict."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from mic_det.checkpoint import files, formats
from mic_det.checkpoint.names import StateDict
from mic_det.checkpoint.pickles import load_pickle
from mic_det.checkpoint.state_dicts import state_dict_of
from mic_det.errors import UserError

# What Caffe2 saves among the weights.
CAFFE2_EXTRAS = ("_momentum", "weight_order", "model_iter", "lr")


def read_weights(file: str | Path) -> dict[str, Any]:
    """A weight file as detectron2 takes it: "model", a state dict of tensors, "matching_heuristics" and maybe "__author__".

    `.pkl` files hold numpy arrays, by name or, in Caffe2's layout, in "blobs". Names that are not detectron2's are to be
    matched by their ends.

    Raises:
        UserError: what the file is and what to do, when it cannot be read, asks for more than arrays or holds no state dict.
    """
    if Path(file).is_dir():
        raise UserError(f"Checkpoint {file} is a folder: name the weight file in it.")
    if not Path(file).is_file():
        raise UserError(f"Checkpoint {file} does not exist.")
    if is_safetensors(file):
        return {"model": state_dict_of(load_safetensors(file), file), "matching_heuristics": True}
    if not str(file).endswith(".pkl"):
        state = state_dict_of(files.load(file), file)
        return {"model": as_tensors(state), "matching_heuristics": not any(key.startswith("backbone.") for key in state)}
    content = load_pickle(file)
    if isinstance(content, dict) and "__author__" in content:  # detectron2's model zoo
        return {**content, "model": as_tensors(state_dict_of(content, file))}
    if isinstance(content, dict):
        blobs = content.get("blobs", content)
        if isinstance(blobs, dict):
            content = {key: value for key, value in blobs.items() if not str(key).endswith(CAFFE2_EXTRAS)}
    return {"model": as_tensors(state_dict_of(content, file)), "matching_heuristics": True, "__author__": "Caffe2"}


def as_tensors(state: Mapping[str, Any]) -> StateDict:
    """A state dict whose arrays became tensors."""
    return {name: torch.as_tensor(value) for name, value in state.items()}


def is_safetensors(file: str | Path) -> bool:
    """By its name or, whatever its name is, by the length of its header and the brace that opens it."""
    if str(file).endswith(".safetensors"):
        return True
    with Path(file).open("rb") as opened:
        length, brace = opened.read(8), opened.read(1)
    return brace == b"{" and int.from_bytes(length, "little") < Path(file).stat().st_size


def load_safetensors(file: str | Path) -> StateDict:
    """The content of a safetensors file. Raises UserError when it cannot be read."""
    try:
        return load_file(file)
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(f"Weights {file} cannot be read: {formats.reason(file, error)}") from error
