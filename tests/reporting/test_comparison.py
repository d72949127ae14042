import json

import pytest
import yaml
from click.testing import CliRunner

from mic_det.cli.compare import command
from mic_det.errors import UserError
from mic_det.reporting.comparison import different_settings, distinct, read_runs, warnings_of


def write_run(folder, ap50, iterations=100, test="foggy", metric="AP50", **settings):
    """A run's folder with one evaluation and a line of metrics.json per iteration."""
    folder.mkdir(parents=True)
    names = {"AP50": ("AP", "AP50", "AP75"), "mIoU": ("mIoU", "mAcc", "aAcc")}[metric]
    per_class = {"AP50": "AP50", "mIoU": "IoU"}[metric]
    entry = {"iteration": iterations, "model": "teacher", "dataset": test, "machine": "one", **dict.fromkeys(names, ap50)}
    entry |= {f"{per_class}/car": ap50 + 5, f"{per_class}/bus": None}
    (folder / "evaluation.json").write_text(json.dumps(entry) + "\n")
    lines = [json.dumps({"iteration": step, "total_loss": 1 / (step + 1), "pseudo_score": 0.5}) for step in range(5)]
    (folder / "metrics.json").write_text("\n".join(lines))
    content = {"SEED": 1, "OUTPUT_DIR": str(folder), "MODEL": {"META_ARCHITECTURE": "MaskedConsistencyDetector", **settings}}
    (folder / "config.yaml").write_text(yaml.safe_dump(content))
    return folder


@pytest.fixture
def two(tmp_path):
    return write_run(tmp_path / "base", 20.0, RATIO=0.5), write_run(tmp_path / "mic", 32.5, RATIO=0.7)


def test_a_page_and_the_same_in_json(two, tmp_path):
    page = tmp_path / "deep/comparison.html"
    run = CliRunner().invoke(command, [*map(str, two), "--output", str(page), "--json"])
    assert run.exit_code == 0, run.output
    content = json.loads(run.output)
    assert [row["AP50"] for row in content["results"]] == [20.0, 32.5] and content["warnings"] == []
    assert content["settings"] == {"MODEL.RATIO": [0.5, 0.7]} and content["report"] == str(page)
    text = page.read_text()
    assert "+12.5 AP50" in text and "mic against base: AP50 32.5 against 20.0" in text
    assert "<td>25.0</td><td>37.5 (+12.5)</td>" in text  # of the class car
    assert '<th scope="row">MODEL.RATIO</th><td>0.5</td><td>0.7</td>' in text and "OUTPUT_DIR" not in text
    assert "mean score of the pseudo boxes" in text and "Mind:" not in text


def test_other_tests_and_lengths_are_warned_of(two, tmp_path):
    other = write_run(tmp_path / "other", 40.0, iterations=300, test="night")
    found = warnings_of(read_runs([two[0], other]))
    assert "different data: base on foggy; other on night" in found[0] and "iterations (base 100, other 300)" in found[1]
    run = CliRunner().invoke(command, [str(two[0]), str(other), "--output", str(tmp_path / "c.html")])
    assert run.exit_code == 0 and run.output.count("warning: ") == 2
    page = (tmp_path / "c.html").read_text()
    assert page.count("<strong>Mind:</strong>") == 2 and "nothing to compare" in page


def test_what_is_no_run_is_refused_in_a_sentence(two, tmp_path):
    (tmp_path / "empty").mkdir()
    bare = write_run(tmp_path / "bare", 1.0)
    (bare / "evaluation.json").unlink()
    odd = write_run(tmp_path / "odd", 1.0)
    (odd / "config.yaml").write_text("a: [")
    pixels = write_run(tmp_path / "pixels", 1.0, metric="mIoU")
    for folders, words in (
        ([two[0]], "at least two runs"),
        ([two[0], two[0] / "../base"], "named twice"),
        ([two[0], tmp_path / "nowhere"], "nowhere is no folder"),
        ([two[0], tmp_path / "empty"], "empty is no run's output folder: it has no config.yaml"),
        ([two[0], bare], "bare holds no results"),
        ([two[0], odd], "odd/config.yaml cannot be read as YAML"),
        ([two[0], pixels], "pixels measures mIoU, .*base AP50: compare runs of one task"),
    ):
        with pytest.raises(UserError, match=words):
            read_runs(folders)


def test_the_report_of_a_run_is_not_overwritten(two):
    (two[1] / "report.html").write_text("mine")
    run = CliRunner().invoke(command, [*map(str, two), "--output", str(two[1] / "report.html")])
    assert isinstance(run.exception, UserError) and (two[1] / "report.html").read_text() == "mine"


def test_runs_of_one_name_are_told_apart(tmp_path):
    assert distinct([tmp_path / "a", tmp_path / "b"]) == ["a", "b"]
    assert distinct([tmp_path / "one/run", tmp_path / "two/run"]) == ["one/run", "two/run"]


def test_absent_settings_have_a_dash(tmp_path):
    runs = read_runs([write_run(tmp_path / "a", 1.0, OWN="x"), write_run(tmp_path / "b", 1.0)])
    assert different_settings(runs) == {"MODEL.OWN": ["x", "-"]}
