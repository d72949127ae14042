"""Demo and study from end to end, on a tiny ToyCity and a handful of iterations."""

import json
import re

import pytest

from mic_det.engine.demo import DETECTION, ensure_toycity, run_demo
from mic_det.engine.study import REPORTS, conditions, is_prepared, methods_of, run_study
from mic_det.errors import UserError
from tests.conftest import REPOSITORY, TINY, run_script

SHORT = [*TINY, *("SOLVER.MAX_ITER", 4, "MODEL.MIC.BURN_IN", 2)]


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


def test_study_over_seeds(toycity, tmp_path):
    report = tmp_path / "deep/report.md"
    text = run_study("toycity", ("source_only", "mic"), tmp_path / "runs", (1, 2), report, SHORT, jobs=2)
    assert report.read_text() == text
    assert " ± " in text and "mic minus source_only, toycity_foggy_all_val AP50 (teacher), seed by seed: " in text
    assert "Seeds 1, 2." in text and "Command: `python tools/study.py" in text and "4 iterations for every method" in text
    runs = json.loads((tmp_path / "runs/summary.json").read_text())["runs"]
    assert {run["seed"] for run in runs} == {1, 2} and len(runs) == 2 * 2 * 2 * 2
    before = (tmp_path / "runs/seed1/mic/log.txt").read_text()
    run_study("toycity", ("source_only", "mic"), tmp_path / "runs", (1, 2), report, SHORT)
    assert (tmp_path / "runs/seed1/mic/log.txt").read_text() == before, "a finished run was repeated"


def test_a_failing_run_is_named(toycity, tmp_path):
    with pytest.raises(UserError, match="source_only failed; its log is"):
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
    assert "camvid_seg is left out: " in caplog.text and "prepare_camvid_seg.py" in caplog.text
    assert methods_of("toycity_cls") == ["source_only", "sdat", "mic", "oracle"]
    assert {path.name for path in (REPOSITORY / "benchmarks").glob("*.md")} <= set(REPORTS.values())


def test_the_tool_asks_for_what_it_cannot_know():
    tool = REPOSITORY / "tools/study.py"
    run = run_script(tool, "--benchmark", "all", "--methods", "mic", check=False)
    assert run.returncode == 1 and "runs all methods" in run.stderr
    run = run_script(tool, "--benchmark", "cs2foggy", check=False)
    assert run.returncode == 1 and "--report is needed for 'cs2foggy'" in run.stderr
