"""Training, evaluation and the look at the data, from Python."""

import tempfile
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode

from mic_det.api.isolation import isolated
from mic_det.api.loading import names_of, run_config, weight_file
from mic_det.api.model import Model
from mic_det.data.check import DatasetCheck, check_names, with_classes_of_data
from mic_det.engine.log import RunLog
from mic_det.engine.run import evaluate_weights, train_or_evaluate
from mic_det.engine.setup import open_config, prepare_run
from mic_det.errors import UserError
from mic_det.tasks import task_of


def train(
    *,
    config: str | Path | CfgNode,
    output: str | Path | None = None,
    resume: bool = False,
    overrides: Iterable[Any] = (),
    download: bool = False,
) -> Model:
    """Train a config, as `mic-det train` does; returns the model after the last iteration.

    Args:
        config: YAML file, name of one of the library's configs, or a config object.
        output: folder of the run; None takes OUTPUT_DIR.
        resume: go on from the folder's last checkpoint.
        overrides: config keys and values, one after the other.
        download: allow MODEL.WEIGHTS to be fetched from its public source.

    Raises:
        UserError: when config, data or weights are not fit, or the folder holds a run that is not to go on.
    """
    chosen = [*overrides, *(("OUTPUT_DIR", str(output)) if output is not None else ())]
    with isolated():
        cfg = open_config(config, chosen)
        core = train_or_evaluate(config, chosen, resume, download=download)
        return Model(cfg, core, names_of(cfg))


def evaluate(
    *,
    weights: str | Path,
    config: str | Path | CfgNode | None = None,
    datasets: Sequence[str] | None = None,
    output: str | Path | None = None,
    overrides: Iterable[Any] = (),
) -> dict[str, dict[str, float]]:
    """Evaluate weights on labelled datasets.

    Args:
        weights, config: see `load`.
        datasets: names of registered datasets, or of those that DATASETS.DECLARE of the config declares; None takes
            DATASETS.TEST.
        output: folder for detections, evaluation.json and the log; None writes nothing that stays.
        overrides: config keys and values, one after the other; TEST.MODELS says which networks.

    Returns:
        {"teacher/<dataset>": {metric: percent}}, the same for the student. NaN where a class has no object.

    Raises:
        UserError: when config, data or weights are not fit.
    """
    file = weight_file(weights)
    chosen = [*overrides, "MODEL.WEIGHTS", str(file)]
    if datasets is not None:
        chosen += ["DATASETS.TEST", tuple(datasets)]
    with isolated(), tempfile.TemporaryDirectory() as temporary, RunLog() as log:
        cfg = prepare_run(run_config(file) if config is None else config, [*chosen, "OUTPUT_DIR", str(output or temporary)])
        return evaluate_weights(cfg, log)[1]


def check(
    *,
    datasets: Sequence[str] = (),
    config: str | Path | CfgNode | None = None,
    decode: bool = False,
    overrides: Iterable[Any] = (),
) -> list[DatasetCheck]:
    """Read datasets as training would and count what is used of them.

    Args:
        datasets: registered names, folders of images or COCO JSON files; labels are used where there are any.
        config: whose DATASETS.TRAIN, TARGET and TEST to look at, too.
        decode: decode every image completely instead of looking at its header.
        overrides: config keys and values, one after the other.

    Returns:
        One DatasetCheck for each dataset: classes, objects, bad files, faults.

    Raises:
        UserError: listing everything for which training would fail, or when there is nothing to look at.
    """
    if not datasets and config is None:
        raise UserError("Nothing to check: name `datasets` or a `config`.")
    with isolated():
        cfg = open_config(config, overrides)
        checks, failures = check_names(datasets, decode, cfg, partial(check_training, cfg) if config is not None else None)
    if failures:
        raise UserError(" ".join(failures))
    return checks


def check_training(cfg: CfgNode, notes: list[str] | None = None) -> None:
    """What training looks at first; adds to `notes` where the model has another number of classes than the data.

    Raises:
        UserError: when training would not begin.
    """
    cfg, note = with_classes_of_data(cfg)
    if note and notes is not None:
        notes.append(note)
    task_of(cfg).check_datasets(cfg)
