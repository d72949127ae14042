"""One training in a process of its own: `python -m mic_det.experiments.training CONFIG KEY VALUE ...`.

Such a process has a number of threads of its own, and gives back the memory that it took.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mic_det.engine.run import train_or_evaluate
from mic_det.errors import UserError
from mic_det.reporting.report import read_lines
from mic_det.tooling import run_tool


def train(
    config: str | Path, folder: str | Path, overrides: Sequence[Any] = (), threads: int | None = None, quiet: bool = False
) -> None:
    """Train to the end, from where an earlier run in the folder stopped; a finished run is not repeated.

    The log goes to `<folder>/log.txt` and, unless `quiet`, to the terminal.

    Args:
        config: YAML file.
        folder: OUTPUT_DIR of the run, named after its method.
        overrides: `KEY VALUE` pairs.
        threads: of PyTorch; None for all cores.

    Raises:
        UserError: when the run fails, with the sentence that it ended with.
    """
    folder = Path(folder)
    if (folder / "model_final.pth").exists() and read_lines(folder / "evaluation.json"):
        return
    environment = {**os.environ, **({"OMP_NUM_THREADS": str(threads)} if threads else {}), "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-m", __name__, str(config), *map(str, overrides), "OUTPUT_DIR", str(folder)]
    run = subprocess.run(
        command, env=environment, text=True, stdout=subprocess.DEVNULL if quiet else None, stderr=subprocess.PIPE
    )
    if run.returncode:
        reason = (run.stderr.strip().splitlines() or [f"it ended with status {run.returncode}"])[-1]
        log = f"; its log is {folder}/log.txt" if (folder / "log.txt").is_file() else ""
        raise UserError(f"{folder.name} failed{log}: {reason.removeprefix('error: ')}")


def main() -> None:
    """What the process does."""
    config, *overrides = sys.argv[1:]
    train_or_evaluate(config, overrides, resume=True)


if __name__ == "__main__":
    run_tool(main)
