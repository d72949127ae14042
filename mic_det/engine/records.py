"""What a run leaves in OUTPUT_DIR about itself: one run's, whatever was killed, resumed or begun anew there."""

import json
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

from mic_det.checkpoint import files
from mic_det.outputs import write_text, writing

logger = logging.getLogger(__name__)
RESULTS = ("metrics.json", "evaluation.*", "events.out.tfevents.*", "model_*.pth", files.LAST, "inference", "report.html")
SETTINGS = ("config*.yaml", "environment*.txt")


def begin(folder: str | Path, done: int) -> None:
    """Make a folder ready for a run that goes on after `done` iterations, or begins (0): nothing in it is of another."""
    with writing(folder):
        Path(folder).mkdir(parents=True, exist_ok=True)
    if done:
        forget_after(Path(folder) / "metrics.json", done - 1)  # it counts from 0
        forget_after(Path(folder) / "evaluation.json", done)
    else:
        set_aside(folder)


def is_run(folder: str | Path) -> bool:
    """Whether something has been trained in the folder."""
    return any((Path(folder) / name).is_file() for name in (files.LAST, "metrics.json"))


def are_evaluated(folder: str | Path, models: Sequence[str], datasets: Sequence[str], iteration: int) -> bool:
    """Whether evaluation.json has every model on every dataset after `iteration` iterations."""
    path = Path(folder) / "evaluation.json"
    entries = [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []
    found = {(entry["iteration"], entry["model"], entry["dataset"]) for entry in entries}
    return all((iteration, model, dataset) in found for model in models for dataset in datasets)


def forget_after(path: Path, iteration: int) -> None:
    """Drop the JSON lines a killed run wrote after its last checkpoint: they are about to be written again."""
    if path.is_file():
        lines = [line for line in path.read_text().splitlines() if line.endswith("}")]
        kept = [line for line in lines if (json.loads(line)["iteration"] or 0) <= iteration]
        write_text(path, "".join(f"{line}\n" for line in kept))


def set_aside(folder: str | Path) -> None:
    """Move what an earlier run left, e.g. one that was killed before its first checkpoint, to `<folder>/former_<n>`."""
    folder = Path(folder)
    if not any(found_in(folder, RESULTS)):
        return
    number = next(n for n in range(1, 10**6) if not (folder / f"former_{n}").exists())
    former = folder / f"former_{number}"
    with writing(former):
        former.mkdir()
        for path in [*found_in(folder, RESULTS), *found_in(folder, SETTINGS)]:
            shutil.move(path, former / path.name)
    logger.info("%s held an earlier run: its files are in %s now.", folder, former)


def found_in(folder: Path, patterns: tuple) -> list[Path]:
    return sorted({path for pattern in patterns for path in folder.glob(pattern)})


def keep_settings(folder: str | Path, done: int) -> None:
    """Keep the config and environment that held until iteration `done` as `config_<done>.yaml` and `environment_<done>.txt`."""
    for path in (Path(folder) / "config.yaml", Path(folder) / "environment.txt"):
        names = (f"{path.stem}_{done:07d}{suffix}{path.suffix}" for suffix in ("", *(f"_{n}" for n in range(2, 10**6))))
        kept = next(path.with_name(name) for name in names if not path.with_name(name).exists())
        with writing(kept):
            shutil.copy(path, kept)
