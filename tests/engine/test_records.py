"""A folder tells of one run, and nothing that was trained is lost."""

import json
import subprocess
import sys

import pytest

from mic_det.engine import records
from mic_det.engine.log import RunLog, logging
from mic_det.errors import UserError
from mic_det.evaluation.networks import record_results
from mic_det.reporting.run_report import read_results


def lines(path):
    return [json.loads(line)["iteration"] for line in path.read_text().splitlines()]


def write_run(folder, iterations=4):
    folder.mkdir(exist_ok=True)
    (folder / "metrics.json").write_text("".join(f'{{"iteration": {index}}}\n' for index in range(iterations)) + '{"iterat')
    (folder / "evaluation.json").write_text("".join(f'{{"iteration": {index}}}\n' for index in (2, 4)) + '{"iteration": null}\n')
    for name in ("evaluation.csv", "events.out.tfevents.1", "model_0000002.pth", "last_checkpoint", "config.yaml", "log.txt"):
        (folder / name).write_text(name)
    (folder / "inference").mkdir()
    (folder / "notes.md").write_text("the user's own")


def test_a_resumed_run_forgets_what_it_will_write_again(tmp_path):
    write_run(tmp_path)
    records.begin(tmp_path, 2)
    assert lines(tmp_path / "metrics.json") == [0, 1] and lines(tmp_path / "evaluation.json") == [2, None]
    assert (tmp_path / "model_0000002.pth").exists() and not (tmp_path / "former_1").exists()


def test_a_run_that_begins_anew_sets_the_former_aside_whole(tmp_path):
    write_run(tmp_path)
    before = {path.name for path in tmp_path.iterdir()}
    records.begin(tmp_path, 0)
    stays = {"log.txt", "notes.md"}
    assert {path.name for path in tmp_path.iterdir()} == {*stays, "former_1"}
    assert {path.name for path in (tmp_path / "former_1").iterdir()} == before - stays
    records.begin(tmp_path, 0)  # as the trainer does after the command
    assert not (tmp_path / "former_2").exists()
    (tmp_path / "metrics.json").write_text("")
    records.begin(tmp_path, 0)
    assert (tmp_path / "former_2/metrics.json").exists() and (tmp_path / "former_1/metrics.json").exists()


def test_settings_are_kept_by_iteration(tmp_path):
    for text in ("one", "two"):
        (tmp_path / "config.yaml").write_text(text)
        (tmp_path / "environment.txt").write_text(text)
        records.keep_settings(tmp_path, 500)
    assert (tmp_path / "config_0000500.yaml").read_text() == "one" and (tmp_path / "config_0000500_2.yaml").read_text() == "two"
    assert (tmp_path / "environment_0000500.txt").read_text() == "one"


def test_an_evaluation_stands_once(tmp_path):
    for value in (10.0, 20.0):
        record_results(tmp_path, {"teacher/x": {"AP": value, "AP50": value, "AP75": value}}, 8)
    record_results(
        tmp_path, {"teacher/x": {"AP": 99.0, "AP50": 99.0, "AP75": 99.0}}, None
    )  # other weights, evaluated in the same folder
    assert [run["AP50"] for run in read_results(tmp_path, "mic")] == [20.0]
    assert lines(tmp_path / "evaluation.json") == [8, None]


@pytest.fixture
def logger():
    return logging.getLogger("mic_det.anything")


def test_every_run_has_its_own_log(tmp_path, logger, capsys):
    before = logging.getLogger("mic_det").handlers[:]
    for name in ("one", "two"):
        with RunLog() as log:
            logger.info("%s, before it is accepted", name)
            assert not (tmp_path / name).exists()
            log.keep_in(tmp_path / name)
            logger.info("%s, after", name)
    for name in ("one", "two"):
        text = (tmp_path / name / "log.txt").read_text().splitlines()
        assert [line.split(": ", 1)[1] for line in text] == [f"{name}, before it is accepted", f"{name}, after"]
    assert capsys.readouterr().out.count("two, after") == 1
    assert logging.getLogger("mic_det").handlers == before


def test_a_folder_in_which_a_process_runs_is_refused(tmp_path):
    (tmp_path / "log.txt").write_text("a run\n")
    hold = f"import fcntl, sys\nf = open({str(tmp_path / 'log.txt')!r}, 'a')\nfcntl.lockf(f, fcntl.LOCK_EX)\nprint(flush=True)\ninput()"
    with subprocess.Popen([sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        with RunLog() as log, pytest.raises(UserError, match=f"OUTPUT_DIR {tmp_path}: another process is at work there"):
            log.keep_in(tmp_path)
        other.communicate(b"\n")
    assert (tmp_path / "log.txt").read_text() == "a run\n"
    with RunLog() as log:
        log.keep_in(tmp_path)
