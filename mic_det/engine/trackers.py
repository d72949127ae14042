"""Experiment trackers beside TensorBoard: Weights & Biases (LOG.WANDB) and MLflow (LOG.MLFLOW)."""

import importlib
from abc import abstractmethod
from pathlib import Path
from types import ModuleType

from detectron2.config import CfgNode
from detectron2.utils.events import EventStorage, EventWriter, get_event_storage

from mic_det.config import known_keys, value_of
from mic_det.errors import UserError

LONGEST = 500  # characters of a parameter that MLflow takes


def tracker_package(name: str, key: str) -> ModuleType:
    """A tracker's package.

    Raises:
        UserError: naming the config's `key` when it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError:
        raise UserError(f"{key} needs {name}, which is not installed: pip install {name}, or set {key} ''.") from None


def check_trackers(cfg: CfgNode) -> None:
    """Raise UserError, before training, when the package of a tracker that the config names is not installed."""
    for key, name in (("WANDB", "wandb"), ("MLFLOW", "mlflow")):
        if cfg.LOG[key]:
            tracker_package(name, f"LOG.{key}")


def build_trackers(cfg: CfgNode) -> list[EventWriter]:
    """The writers that LOG.WANDB and LOG.MLFLOW ask for; for the main process only."""
    return [kind(cfg) for kind, name in ((WandbWriter, cfg.LOG.WANDB), (MLflowWriter, cfg.LOG.MLFLOW)) if name]


class TrackerWriter(EventWriter):
    """Sends every logged number once, with its iteration, to a tracker.

    Attributes:
        last: the last iteration that was sent.
    """

    def __init__(self) -> None:
        self.last = -1

    def write(self) -> None:
        """Send the numbers that were logged since the last call."""
        new = new_values(get_event_storage(), self.last)
        for iteration in sorted(new):
            self.send(new[iteration], iteration)
        self.last = max((self.last, *new))

    @abstractmethod
    def send(self, values: dict[str, float], iteration: int) -> None:
        """Hand over the numbers of one iteration, which counts from 0."""


def new_values(storage: EventStorage, last: int) -> dict[int, dict[str, float]]:
    """{iteration: {name: value}} of the latest values that are newer than iteration `last`."""
    found: dict[int, dict[str, float]] = {}
    for name, (value, iteration) in storage.latest().items():
        if iteration > last:
            found.setdefault(iteration, {})[name] = float(value)
    return found


class WandbWriter(TrackerWriter):
    """One run of the project LOG.WANDB, named after OUTPUT_DIR, with all config keys."""

    def __init__(self, cfg: CfgNode) -> None:
        super().__init__()
        wandb = tracker_package("wandb", "LOG.WANDB")
        folder = Path(cfg.OUTPUT_DIR)
        self.run = wandb.init(project=cfg.LOG.WANDB, name=folder.name, dir=str(folder), config=flat(cfg))

    def send(self, values: dict[str, float], iteration: int) -> None:
        """Log to the run."""
        self.run.log(values, step=iteration)

    def close(self) -> None:
        """Finish the run."""
        self.run.finish()


class MLflowWriter(TrackerWriter):
    """One run of the experiment LOG.MLFLOW, named after OUTPUT_DIR, with all config keys as parameters.

    Where the numbers go is MLflow's affair: its MLFLOW_TRACKING_URI, or a folder below the working directory.
    """

    def __init__(self, cfg: CfgNode) -> None:
        super().__init__()
        client = tracker_package("mlflow", "LOG.MLFLOW").MlflowClient()
        found = client.get_experiment_by_name(cfg.LOG.MLFLOW)
        experiment = found.experiment_id if found is not None else client.create_experiment(cfg.LOG.MLFLOW)
        self.client = client
        self.run_id = client.create_run(experiment, run_name=Path(cfg.OUTPUT_DIR).name).info.run_id
        for key, value in flat(cfg).items():
            client.log_param(self.run_id, key, str(value)[:LONGEST])

    def send(self, values: dict[str, float], iteration: int) -> None:
        """Log to the run."""
        for name, value in values.items():
            self.client.log_metric(self.run_id, name, value, step=iteration)

    def close(self) -> None:
        """Finish the run."""
        self.client.set_terminated(self.run_id)


def flat(cfg: CfgNode) -> dict[str, object]:
    """{full key: value} of a config."""
    return {key: value_of(cfg, key) for key in known_keys(cfg)}
