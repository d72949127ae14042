"""Checkpoint files that a crash at any moment cannot spoil."""

import re
from pathlib import Path

import torch

from mic_det.errors import UserError
from mic_det.outputs import write_atomically, write_text

LAST = "last_checkpoint"


def save(path, content):
    """Save tensors and plain Python values, then note the file's name in `last_checkpoint` beside it."""
    path = Path(path)
    save_tensors(path, content)
    write_text(path.with_name(LAST), path.name)


def save_tensors(path, content):
    """Save tensors and plain Python values. Raises UserError when that fails; an earlier file of the name is still there then."""
    try:
        write_atomically(path, lambda temporary: torch.save(content, temporary))
    except RuntimeError as error:  # what torch makes of a full disk
        raise UserError(f"{path} cannot be written: {str(error).splitlines()[0]}.") from error


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
