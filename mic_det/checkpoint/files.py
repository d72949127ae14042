"""Checkpoint files that a crash at any moment cannot spoil."""

import os
import re
from pathlib import Path

import torch

from mic_det.errors import UserError

LAST = "last_checkpoint"


def write_atomically(path, write):
    """Call `write(temporary path)`, then move the file into place, so that `path` is always whole."""
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    write(temporary)
    with temporary.open("rb") as file:
        os.fsync(file.fileno())
    os.replace(temporary, path)


def save(path, content):
    """Save tensors and plain Python values, then note the file's name in `last_checkpoint` beside it."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda temporary: torch.save(content, temporary))
    write_atomically(path.with_name(LAST), lambda temporary: temporary.write_text(path.name))


def load(path):
    """Load a `.pth` file onto the CPU; only tensors and plain values are unpickled.

    Raises:
        UserError: naming the file when it is missing or cannot be read.
    """
    if not Path(path).is_file():
        raise UserError(f"Checkpoint {path} does not exist.")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a broken or foreign file
        raise UserError(f"Checkpoint {path} cannot be read: {str(error).splitlines()[0]}") from error


def last_checkpoint(folder):
    """Path of the newest checkpoint of a run, or None."""
    note = Path(folder) / LAST
    return note.with_name(note.read_text().strip()) if note.is_file() else None


def remove_old(folder, keep):
    """Delete all but the newest `keep` periodic checkpoints (`model_<iteration>.pth`); 0 keeps all."""
    found = sorted(path for path in Path(folder).glob("model_*.pth") if re.fullmatch(r"model_\d+", path.stem))
    for path in found[:-keep] if keep else ():
        path.unlink()


def remove_temporary(folder):
    """Delete what a killed process left half-written."""
    for path in Path(folder).glob(".*.tmp"):
        path.unlink()
