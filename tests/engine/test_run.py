"""Runs that are refused, resumed with other settings, begun anew and interrupted."""

import hashlib
import json
import logging
import os
import shutil
import signal

import pytest
import torch

from mic_det.checkpoint import files
from mic_det.config import load_config
from mic_det.engine import hooks
from mic_det.engine.run import train_or_evaluate
from mic_det.errors import UserError
from tests.conftest import REPOSITORY, TINY

CONFIG = REPOSITORY / "configs/toycity_source_only.yaml"
SHORT = [*TINY, *("DATASETS.TEST", (), "SOLVER.WARMUP_ITERS", 0, "SOLVER.STEPS", (), "SOLVER.BASE_LR", 0.001)]


def run(folder, *overrides, **options):
    return train_or_evaluate(CONFIG, [*SHORT, "SOLVER.MAX_ITER", 2, "OUTPUT_DIR", str(folder), *overrides], **options)


@pytest.fixture(scope="module")
def finished(toycity, tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    run(folder)
    return folder


@pytest.fixture
def copy(finished, tmp_path):
    """A copy of a finished run of two iterations."""
    return shutil.copytree(finished, tmp_path / "run")


def metrics(folder):
    return [json.loads(line) for line in (folder / "metrics.json").read_text().splitlines()]


def fingerprint(folder):
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("overrides", "options", "message"),
    [
        ((), {}, "already holds a run: add --resume"),
        (("SOLVER.MAX_ITER", 1), {"resume": True}, "MAX_ITER is 1, but the run in .* has done 2 iterations already"),
        (("SOLVER.OPTIMIZER", "SGD"), {"resume": True}, "cannot change SOLVER.OPTIMIZER from 'AdamW' to 'SGD'"),
        (("SOLVER.IMS_PER_BATCH", 4, "SEED", 9), {"resume": True}, "SOLVER.IMS_PER_BATCH from 2 to 4, SEED from 3 to 9"),
        (("SOLVER.BASE_LRR", 1), {"resume": True}, "Did you mean 'SOLVER.BASE_LR'"),
        (("DATASETS.TEST", ("nothing",)), {"resume": True}, "Dataset 'nothing' is not registered"),
        ((), {"eval_only": True}, "MODEL.WEIGHTS is empty"),
        ((), {"eval_only": True, "resume": True}, "DATASETS.TEST is empty"),
        (("DATASETS.TEST", ("toycity_val",), "MODEL.WEIGHTS", "none.pth"), {"eval_only": True}, "none.pth does not exist"),
    ],
)
def test_a_refused_command_changes_no_file(finished, datasets, overrides, options, message):
    before = fingerprint(finished)
    with pytest.raises(UserError, match=message):
        run(finished, *overrides, **options)
    assert fingerprint(finished) == before


def test_a_place_that_is_no_folder_is_refused_first(datasets, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="OUTPUT_DIR: nothing can be written to .*it is no folder"):
        run(tmp_path / "file/out")


def test_a_resumed_run_has_the_new_learning_rate(copy, datasets):
    old = (copy / "config.yaml").read_text()
    trained = run(copy, *("SOLVER.MAX_ITER", 4, "SOLVER.BASE_LR", 0.01, "SOLVER.WEIGHT_DECAY", 0.5), resume=True)
    assert trained is not None
    assert [(line["iteration"], line["lr"]) for line in metrics(copy)] == [(0, 0.001), (1, 0.001), (2, 0.01), (3, 0.01)]
    now = load_config(copy / "config.yaml")
    assert (now.SOLVER.BASE_LR, now.SOLVER.WEIGHT_DECAY, now.SOLVER.MAX_ITER) == (0.01, 0.5, 4)
    assert (copy / "config_0000002.yaml").read_text() == old
    log = (copy / "log.txt").read_text()
    assert "Resumed at iteration 2 with another SOLVER.BASE_LR: it was 0.001, 0.01 holds from here on." in log
    groups = files.load(copy / "model_final.pth")["optimizer"]["param_groups"]
    assert {group["lr"] for group in groups} == {0.01} and 0.5 in {group["weight_decay"] for group in groups}


def test_a_config_in_the_folder_of_its_run_is_kept(datasets, tmp_path):
    mine = tmp_path / "config.yaml"
    mine.write_text(f"_BASE_: {CONFIG}\n")
    text = mine.read_text()
    train_or_evaluate(mine, [*SHORT, "SOLVER.MAX_ITER", 1, "OUTPUT_DIR", str(tmp_path)])
    assert (tmp_path / "config_0000000.yaml").read_text() == text and len(mine.read_text()) > len(text)


def test_a_negative_seed_stays_the_runs_own(copy, datasets):
    run(copy, *("SOLVER.MAX_ITER", 3, "SEED", -1), resume=True)
    assert load_config(copy / "config.yaml").SEED == 3


def test_a_run_begun_anew_has_its_own_metrics(copy, datasets):
    for name in ("model_final.pth", "last_checkpoint"):  # as after a kill before the first checkpoint
        (copy / name).unlink()
    former = (copy / "metrics.json").read_text()
    run(copy, resume=True)
    assert [line["iteration"] for line in metrics(copy)] == [0, 1]
    assert (copy / "former_1/metrics.json").read_text() == former and (copy / "former_1/config.yaml").exists()
    assert len(list(copy.glob("events.out.tfevents.*"))) == len(list((copy / "former_1").glob("events.out.tfevents.*"))) == 1


def test_an_evaluation_in_the_folder_of_a_run_keeps_its_settings(copy, datasets):
    before = fingerprint(copy)
    run(copy, "DATASETS.TEST", ("toycity_val",), "TEST.MODELS", ("student",), eval_only=True, resume=True)
    after = fingerprint(copy)
    assert {path.name for path in before if after[path] != before[path]} == {"log.txt"}
    assert load_config(copy / "config_evaluation.yaml").DATASETS.TEST == ("toycity_val",)
    assert json.loads((copy / "evaluation.json").read_text())["iteration"] == 2


def test_an_interrupted_run_goes_on_where_it_was(finished, datasets, tmp_path, monkeypatch):
    step = hooks.BadStepStop.after_step

    def interrupt(self):
        step(self)
        if self.trainer.iter == 0:
            os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(hooks.BadStepStop, "after_step", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "run")
    assert files.last_checkpoint(tmp_path / "run").name == "model_0000001.pth"
    assert signal.getsignal(signal.SIGTERM) is before
    monkeypatch.undo()
    monkeypatch.setenv("DETECTRON2_DATASETS", str(datasets))
    run(tmp_path / "run", resume=True)
    found, expected = (files.load(folder / "model_final.pth")["model"] for folder in (tmp_path / "run", finished))
    assert all(torch.equal(found[name], value) for name, value in expected.items())
    totals = [[line["total_loss"] for line in metrics(folder)] for folder in (tmp_path / "run", finished)]
    assert totals[0] == totals[1]


def test_a_run_killed_before_its_last_evaluation_is_evaluated(copy, datasets):
    options = ("DATASETS.TEST", ("toycity_val",), "TEST.MODELS", ("student",))
    run(copy, *options, resume=True)
    assert json.loads((copy / "evaluation.json").read_text())["iteration"] == 2 and (copy / "report.html").exists()
    before = (copy / "evaluation.json").read_bytes()
    run(copy, *options, resume=True)
    assert (copy / "evaluation.json").read_bytes() == before


def test_a_diverged_run_ends_with_a_sentence_only(datasets, tmp_path, monkeypatch):
    monkeypatch.setattr("mic_det.engine.meters.Meters.bad_steps", lambda self: (20, 20))
    with pytest.raises(UserError, match="The gradients were not finite in 20 iterations"):
        run(tmp_path / "run")
    assert "Traceback" not in (tmp_path / "run/log.txt").read_text()
    assert logging.getLogger("mic_det").propagate  # the loggers are as they were
