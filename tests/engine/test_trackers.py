"""W&B and MLflow get every logged number once, with its iteration; a missing package is said before training."""

import json
import sys
from types import SimpleNamespace

import pytest

from mic_det.engine import AdaptationTrainer
from mic_det.errors import UserError


class FakeWandb:
    def __init__(self):
        self.started, self.logged, self.finished = [], [], 0

    def init(self, **settings):
        self.started.append(settings)
        return self

    def log(self, values, step):
        self.logged.append((step, values))

    def finish(self):
        self.finished += 1


class FakeClient:
    experiments, metrics, parameters, ended = [], [], {}, []

    def get_experiment_by_name(self, name):
        return None

    def create_experiment(self, name):
        self.experiments.append(name)
        return "1"

    def create_run(self, experiment, run_name):
        return SimpleNamespace(info=SimpleNamespace(run_id=f"{experiment}/{run_name}"))

    def log_param(self, run, key, value):
        self.parameters[key] = value

    def log_metric(self, run, name, value, step):
        self.metrics.append((run, name, value, step))

    def set_terminated(self, run):
        self.ended.append(run)


def test_both_get_what_the_metrics_file_gets(tiny_cfg, monkeypatch):
    wandb = FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", wandb)
    monkeypatch.setitem(sys.modules, "mlflow", SimpleNamespace(MlflowClient=FakeClient))
    cfg = tiny_cfg("DATASETS.TEST", (), "SOLVER.MAX_ITER", 3, "LOG.WANDB", "fog", "LOG.MLFLOW", "night")
    AdaptationTrainer(cfg).train()
    with open(f"{cfg.OUTPUT_DIR}/metrics.json") as file:
        expected = {entry["iteration"]: entry["total_loss"] for entry in map(json.loads, file)}
    assert {step: values["total_loss"] for step, values in wandb.logged} == pytest.approx(expected)
    assert len(wandb.logged) == 3 and wandb.finished == 1
    assert wandb.started[0]["project"] == "fog" and wandb.started[0]["config"]["MODEL.MIC.MASK.RATIO"] == 0.5
    losses = [(step, value) for run, name, value, step in FakeClient.metrics if name == "total_loss"]
    assert dict(losses) == pytest.approx(expected) and len(losses) == 3
    assert FakeClient.experiments == ["night"] and FakeClient.parameters["SEED"] == "3" and FakeClient.ended == ["1/run"]


@pytest.mark.parametrize(("key", "name"), [("LOG.WANDB", "wandb"), ("LOG.MLFLOW", "mlflow")])
def test_a_missing_package_is_said_before_training(tiny_cfg, monkeypatch, key, name):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UserError, match=f"{key} needs {name}.*pip install {name}"):
        AdaptationTrainer(tiny_cfg(key, "mine"))
