"""What a run leaves in OUTPUT_DIR about itself: one run's, whatever was killed, resumed or begun anew there."""

import itertools
import json
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

from mic_det.checkpoint import files
from mic_det.outputs import write_text, writing

logger = logging.getLogger(__name__)
RESULTS = ("metrics.json", "evaluation.*", "events.out.tfevents.*", "model_*.pth", files.LAST, "inference", "report.html")
SETTINGS = (
    *("config.yaml", "config_[0-9]*.yaml", "config_evaluation*.yaml"),
    *("environment.txt", "environment_[0-9]*.txt", "environment_evaluation*.txt"),
)


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
    former = first_free(folder / "former", first=1)
    with writing(former):
        former.mkdir()
        for path in [*found_in(folder, RESULTS), *found_in(folder, SETTINGS)]:
            shutil.move(path, former / path.name)
    logger.info("%s held an earlier run: its files are in %s now.", folder, former)


def first_free(path: Path, first: int) -> Path:
    """The first of `path_<first>`, `path_<first + 1>`, ... that does not exist."""
    return next(free for n in itertools.count(first) if not (free := path.with_stem(f"{path.stem}_{n}")).exists())


def found_in(folder: Path, patterns: Sequence[str]) -> list[Path]:
    """Files and folders in `folder` that match one of the patterns, sorted."""
    return sorted({path for pattern in patterns for path in folder.glob(pattern)})


def keep_settings(folder: str | Path, done: int, suffix: str = "") -> None:
    """Keep `config<suffix>.yaml` and `environment<suffix>.txt`, which held until iteration `done`, with that in their names."""
    paths = (Path(folder) / f"config{suffix}.yaml", Path(folder) / f"environment{suffix}.txt")
    for path in filter(Path.is_file, paths):
        kept = path.with_stem(f"{path.stem}_{done:07d}")
        kept = first_free(kept, first=2) if kept.exists() else kept
        with writing(kept):
            shutil.copy(path, kept)
