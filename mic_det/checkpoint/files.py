"""Checkpoint files that a crash at any moment cannot spoil."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from mic_det.checkpoint import formats
from mic_det.errors import UserError
from mic_det.outputs import write_atomically, write_text
from mic_det.validation import refuse

LAST = "last_checkpoint"


def save(path: str | Path, content: object) -> None:
    """Save tensors and plain Python values, then note the file's name in `last_checkpoint` beside it."""
    path = Path(path)
    save_tensors(path, content)
    write_text(path.with_name(LAST), path.name)


def save_tensors(path: str | Path, content: object) -> None:
    """Save tensors and plain Python values. Raises UserError when that fails; an earlier file of the name is still there then."""
    try:
        write_atomically(path, lambda temporary: torch.save(content, temporary))
    except RuntimeError as error:  # what torch makes of a full disk
        raise UserError(f"{path} cannot be written: {str(error).splitlines()[0]}.") from error


def load(path: str | Path) -> Any:
    """Load a `.pth` file onto the CPU; only tensors and plain values are unpickled.

    Raises:
        UserError: naming the file when it is missing or cannot be read, what it is and what to do.
    """
    if Path(path).is_dir():
        raise UserError(f"Checkpoint {path} is a folder: name the file in it.")
    if not Path(path).is_file():
        raise UserError(f"Checkpoint {path} does not exist.")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds for a broken or foreign file
        raise UserError(f"Checkpoint {path} cannot be read: {formats.reason(path, error)}") from error


def last_checkpoint(folder: str | Path) -> Path | None:
    """Path of the newest checkpoint of a run, or None when no run has written one.

    Raises:
        UserError: when the note `last_checkpoint` does not name a file in the folder.
    """
    note = Path(folder) / LAST
    if not note.exists():
        return None
    try:
        name = note.read_text().strip()
    except (OSError, UnicodeDecodeError):
        name = ""
    path = note.with_name(name) if name and Path(name).name == name and "\0" not in name else None
    if path is None or not path.is_file():
        found = "is empty or no text" if not name else f"names {name[:100]!r}, which is no file in that folder"
        raise UserError(f"{note} {found}: write into it the name of the checkpoint to go on from, e.g. model_final.pth.")
    return path


def check_run(content: Any, path: str | Path, parts: Iterable[str]) -> None:
    """Check that what was loaded is a checkpoint of a run like this one, before anything is taken from it.

    Args:
        content: what `load` gave.
        path: its file.
        parts: names of the mappings, beside the model's state dict, that the run wrote.

    Raises:
        UserError: listing what is missing or of another type.
    """
    where = f"{path} is no checkpoint of a run of this task and config, so --resume cannot go on from it"
    if not isinstance(content, dict):
        refuse(where, [f"it holds a {type(content).__name__}"])
    kinds = {"model": dict, "iteration": int, **dict.fromkeys(parts, dict)}
    faults = [f"'{name}' is missing" for name in kinds if name not in content]
    faults += [
        f"'{name}' is a {type(content[name]).__name__}, not a {kind.__name__}"
        for name, kind in kinds.items()
        if name in content and (not isinstance(content[name], kind) or isinstance(content[name], bool))
    ]
    if not faults:
        strange = [name for name, value in content["model"].items() if not isinstance(value, torch.Tensor)]
        faults = [f"'model' holds {name!r}, which is no tensor" for name in strange]
        if not isinstance(content.get("student", {}), dict):
            faults.append("'student' is no dictionary")
    refuse(where, faults)


def remove_old(folder: str | Path, keep: int) -> None:
    """Delete all but the newest `keep` periodic checkpoints (`model_<iteration>.pth`); 0 keeps all."""
    found = sorted(path for path in Path(folder).glob("model_*.pth") if re.fullmatch(r"model_\d+", path.stem))
    for path in found[:-keep] if keep else ():
        path.unlink()


def remove_temporary(folder: str | Path) -> None:
    """Delete what a killed process left half-written."""
    for path in Path(folder).glob(".*.tmp"):
        path.unlink()
