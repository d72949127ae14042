"""Demo and study from end to end, on a tiny ToyCity and a handful of iterations."""

import json
import re
import shutil

import pytest

from mic_det.errors import UserError
from mic_det.experiments.demo import DETECTION, ensure_toycity, run_demo
from mic_det.experiments.study import REPORTS, conditions, is_prepared, methods_of, results_of, run_study
from mic_det.reporting.report import read_lines
from tests.conftest import REPOSITORY, TINY, run_script

SHORT = [*TINY, *("SOLVER.MAX_ITER", 4, "MODEL.MIC.BURN_IN", 2)]
METHODS = ("source_only", "mic")


@pytest.fixture(scope="module")
def demo(toycity, tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    return folder, run_demo(DETECTION, folder, SHORT)


def test_demo_summary_has_the_promised_form(demo):
    folder, (results, table, page) = demo
    summary = json.loads((folder / "summary.json").read_text())
    assert summary["seconds"] > 0 and summary["runs"] == json.loads(json.dumps(results))
    assert {(run["method"], run["model"], run["test"]) for run in summary["runs"]} == {
        (method, model, test)
        for method in ("source_only", "mic")
        for model in ("teacher", "student")
        for test in ("foggy", "clear")
    }
    for run in summary["runs"]:
        assert run["iterations"] == 4 and {"AP", "AP50", "per_class_AP50"} <= set(run)
        assert set(run["per_class_AP50"]) >= {"person", "rider", "car"}
    assert re.search(r"\| source_only +\| teacher +\| foggy +\|", table)
    assert page == folder / "report.html"


def test_demo_report_is_self_contained(demo):
    folder, _ = demo
    page = (folder / "report.html").read_text()
    assert 'src="data:image/' in page and "http" not in page.replace("http://www.w3.org", "")
    for part in (
        "Target street",
        "ground truth",
        "source_only (teacher)",
        "mic (teacher)",
        "pseudo boxes",
        "removed)",
        "Classes (foggy)",
        "Training",
    ):
        assert part in page


def test_mic_began_where_source_only_was(demo):
    folder, _ = demo
    assert (folder / "mic/model_0000002.pth").read_bytes() == (folder / "source_only/model_0000002.pth").read_bytes()


@pytest.fixture(scope="module")
def study(toycity, tmp_path_factory):
    folder = tmp_path_factory.mktemp("study")
    text = run_study("toycity", METHODS, folder / "runs", (1, 2), folder / "deep/report.md", SHORT, jobs=2)
    return folder, text


def test_study_over_seeds(study):
    folder, text = study
    report = folder / "deep/report.md"
    assert report.read_text() == text
    assert " ± " in text and "mic minus source_only, toycity_foggy_all_val AP50 (teacher), seed by seed: " in text
    assert "Seeds 1, 2." in text and "Command: `python tools/study.py" in text and "4 iterations for every method" in text
    runs = read_lines(results_of(report))
    assert [(run["seed"], run["method"]) for run in runs[::4]] == [(1, "source_only"), (1, "mic"), (2, "source_only"), (2, "mic")]
    assert len(runs) == 2 * 2 * 2 * 2
    before = (folder / "runs/seed1/mic/log.txt").read_text()
    run_study("toycity", METHODS, folder / "runs", (1, 2), report, SHORT)
    assert (folder / "runs/seed1/mic/log.txt").read_text() == before, "a finished run was repeated"


def test_a_report_names_the_machine_on_which_a_run_ended(study, tmp_path):
    folder, _ = study
    shutil.copytree(folder / "runs", tmp_path / "runs")
    record = tmp_path / "runs/seed2/mic/evaluation.json"
    entries = [{**entry, "machine": "an older one with torch"} for entry in read_lines(record)]
    record.write_text("".join(f"{json.dumps(entry)}\n" for entry in entries))
    text = run_study("toycity", METHODS, tmp_path / "runs", (1, 2), tmp_path / "report.md", SHORT)
    assert "* an older one with torch: `mic` (seeds 2)." in text
    assert re.search(r"Python.*: `source_only` \(seeds 1, 2\), `mic` \(seeds 1\)\.", text)


def without_machines(text):
    return [line for line in text.splitlines() if "torch" not in line]


def test_a_study_adds_to_results_of_another_machine(study, tmp_path):
    folder, text = study
    known = [run for run in read_lines(results_of(folder / "deep/report.md")) if (run["seed"], run["method"]) != (2, "mic")]
    known = [{**run, "machine": "an older one with torch"} for run in known]
    added = run_study("toycity", METHODS[1:], tmp_path / "runs", (2,), tmp_path / "report.md", SHORT, known=known)
    assert without_machines(added) == without_machines(text), "without source_only's burn-in mic learns the same"
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.glob("runs/*/*")] == ["runs/seed2/mic"], (
        "a known run was repeated"
    )
    assert "* an older one with torch: `source_only` (seeds 1, 2), `mic` (seeds 1)." in added
    assert re.search(r"Python.*: `mic` \(seeds 2\)\.", added)


def test_known_results_of_another_schedule_are_refused(tmp_path):
    known = [{"seed": 1, "method": "source_only", "iterations": 4}]
    with pytest.raises(UserError, match=r"source_only took 4 iterations, its config now has SOLVER.MAX_ITER 6"):
        run_study("toycity", METHODS, tmp_path, (1,), tmp_path / "r.md", [*SHORT, "SOLVER.MAX_ITER", 6], known=known)


def test_a_failing_run_is_named(toycity, tmp_path):
    with pytest.raises(UserError, match=r"source_only failed: MODEL\.WEIGHTS: gone\.pth does not exist"):
        run_study("toycity", ("source_only",), tmp_path, (1,), tmp_path / "r.md", [*SHORT, "MODEL.WEIGHTS", "gone.pth"])


def test_toycity_is_made_once(tmp_path, monkeypatch):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    made = []

    def make(root):
        made.append(root)
        (root / "toycity/annotations").mkdir(parents=True)
        (root / "toycity/annotations/instances_val_foggy_all.json").touch()

    assert ensure_toycity(make) == ensure_toycity(make) == tmp_path
    assert made == [tmp_path]


def test_conditions_say_what_the_language_decoder_knows():
    found = conditions("toycity_seg", ["lcmsm_no_text", "lcmsm_random", "lcmsm"], (0,))
    assert [line.split(":")[0] for line in found if "Language decoder" in line] == ["`lcmsm_random`", "`lcmsm`"]
    assert any("`lcmsm`: Language decoder: 19 class embeddings of all-MiniLM-L6-v2" in line for line in found)


def test_all_means_every_benchmark_that_is_prepared(datasets, caplog):
    assert (
        {"toycity", "toycity_cls"} <= {stem for stem in REPORTS if is_prepared(stem)} <= {"toycity", "toycity_seg", "toycity_cls"}
    )
    assert "camvid_seg is left out: " in caplog.text and "mic-det prepare camvid-seg" in caplog.text
    assert methods_of("toycity_cls") == ["source_only", "mean_teacher", "sdat", "mic", "oracle"]
    assert {f"benchmarks/{path.name}" for path in (REPOSITORY / "benchmarks").glob("*.md")} <= set(REPORTS.values())


def test_the_tool_asks_for_what_it_cannot_know():
    tool = REPOSITORY / "tools/study.py"
    run = run_script(tool, "--benchmark", "all", "--methods", "mic", check=False)
    assert run.returncode == 1 and "runs all methods" in run.stderr
    run = run_script(tool, "--benchmark", "toycity", "--add", "--report", "nowhere.md", check=False)
    assert run.returncode == 1 and "there is no nowhere.jsonl to add to" in run.stderr
    run = run_script(tool, "--benchmark", "cs2foggy", check=False)
    assert run.returncode == 1 and "--report is needed for 'cs2foggy'" in run.stderr
