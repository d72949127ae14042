"""The confusion matrix that an evaluation leaves for the report."""

import json
from collections.abc import Iterable
from pathlib import Path

from mic_det.outputs import write_json

FILE = "confusion.json"


def write_confusion(folder: str | Path, classes: Iterable[str], matrix: list[list[int]]) -> None:
    """Write `<folder>/confusion.json`.

    Args:
        classes: K names.
        matrix: KxK counts, true class by predicted class, as nested lists.
    """
    write_json(Path(folder) / FILE, {"classes": list(classes), "true_by_predicted": matrix})


def read_confusion(folder: str | Path) -> tuple[list[str], list[list[int]]] | None:
    """(classes, matrix) of `write_confusion`; None where there is none."""
    path = Path(folder) / FILE
    if not path.is_file():
        return None
    content = json.loads(path.read_text())
    return content["classes"], content["true_by_predicted"]
