"""A trained model from its files."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode

from mic_det.api.isolation import isolated
from mic_det.api.model import Model
from mic_det.checkpoint import files
from mic_det.checkpoint.hub import LABELS, WEIGHTS
from mic_det.config import num_classes
from mic_det.data.catalog import class_names
from mic_det.engine.run import load_model
from mic_det.engine.setup import open_config
from mic_det.errors import UserError


def load(
    weights: str | Path,
    *,
    config: str | Path | CfgNode | None = None,
    device: str | None = None,
    network: str = "teacher",
    overrides: Iterable[Any] = (),
) -> Model:
    """A trained model, ready to predict.

    Args:
        weights: a checkpoint of mic-det, detectron2 or torchvision, the folder of a run, or one of `mic-det export --format hub`.
        config: YAML file, name of one of the library's configs, or a config object; None takes the `config.yaml` beside the
            weights, which runs of mic-det and of detectron2 leave there.
        device: "cpu", "cuda", "cuda:1" or "mps"; None takes the config's, and the CPU where there is no GPU.
        network: "teacher" or "student". A plain network's file fills both.
        overrides: config keys and values, one after the other.

    Raises:
        UserError: when a file is missing or cannot be read, or the weights do not fill the network of the config.
    """
    file = weight_file(weights)
    cfg = run_config(file) if config is None else config
    chosen = [*overrides, *(("MODEL.DEVICE", device) if device else ())]
    with isolated():
        cfg = open_config(cfg, [*chosen, "MODEL.WEIGHTS", str(file)])
        core = load_model(cfg, file)
        return Model(cfg, core, names_of(cfg, file), network)


def weight_file(weights: str | Path) -> Path:
    """The file that a path means: itself, or of a folder the exported weights or the run's last checkpoint.

    Raises:
        UserError: when a folder has neither.
    """
    path = Path(weights).expanduser()
    if not path.is_dir():
        return path
    found = path / WEIGHTS if (path / WEIGHTS).is_file() else files.last_checkpoint(path)
    if found is None:
        raise UserError(f"{path} holds no run: name a checkpoint file, or a folder with {WEIGHTS} or {files.LAST}.")
    return found


def run_config(file: Path) -> Path:
    """The `config.yaml` beside a weight file. Raises UserError when there is none, or no such weight file."""
    if not file.exists():
        raise UserError(f"There is no {file}: name a checkpoint file, or the folder of a run.")
    path = file.with_name("config.yaml")
    if not path.is_file():
        raise UserError(f"There is no {path}: name the config that {file} was trained with in `config`.")
    return path


def names_of(cfg: CfgNode, file: Path | None = None) -> list[str]:
    """Class names: from the labels beside an exported file, else those of the source, else numbers."""
    labels = file.with_name(LABELS) if file is not None and file.name == WEIGHTS else None
    if labels is not None and labels.is_file():
        return labels.read_text(encoding="utf-8").splitlines()
    count = num_classes(cfg)
    return class_names(cfg.DATASETS.TRAIN[0], count) if cfg.DATASETS.TRAIN else [str(index) for index in range(count)]
