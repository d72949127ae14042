"""Classification from the command line: training, resuming, prediction, galleries, checks and conversion."""

import csv
import json

import pytest
import torch

from mic_det.checkpoint import files
from tests.conftest import REPOSITORY, TINY_CLASSIFICATION, run_script

CONFIG = "toycity_cls_mic"
COMMON = ("--config-file", CONFIG)
SHORT = (*TINY_CLASSIFICATION, "SOLVER.MAX_ITER", 5, "DATASETS.TEST", ())


@pytest.fixture(scope="module")
def run(toycity, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cls") / "run"
    run_script(REPOSITORY / "tools/train_net.py", *COMMON, *SHORT, "OUTPUT_DIR", folder)
    return folder


@pytest.fixture(scope="module")
def options(run):
    return (*TINY_CLASSIFICATION, "MODEL.WEIGHTS", run / "model_final.pth")


def test_a_run_resumes_exactly(run, tmp_path):
    """With an ascent, a discriminator and the published teacher's own statistics."""
    published = ("MODEL.MIC.TEACHER.BATCH_STATISTICS", True, "MODEL.MIC.BURN_IN", 1, "SOLVER.CHECKPOINT_PERIOD", 3)
    command = (REPOSITORY / "tools/train_net.py", *COMMON, "--resume", *SHORT, *published)
    run_script(*command, "OUTPUT_DIR", tmp_path)
    whole = files.load(tmp_path / "model_final.pth")
    (tmp_path / "model_final.pth").unlink()
    (tmp_path / "last_checkpoint").write_text("model_0000003.pth")
    run_script(*command, "OUTPUT_DIR", tmp_path)
    again = files.load(tmp_path / "model_final.pth")
    assert {name.split(".")[0] for name in whole["model"]} == {"student", "teacher", "alignment"}
    for name, value in whole["model"].items():
        assert torch.equal(again["model"][name], value), name
    assert whole["scheduler"] == again["scheduler"]
    lines = [json.loads(line) for line in (tmp_path / "metrics.json").read_text().splitlines()]
    assert [line["iteration"] for line in lines] == [0, 1, 2, 3, 4]


def test_predictions_are_written(options, datasets, tmp_path):
    images = datasets / "toycity_cls/foggy/val/car"
    (tmp_path / "in").mkdir()
    for path in list(images.iterdir())[:2]:
        (tmp_path / "in" / path.name).symlink_to(path)
    (tmp_path / "in/broken.png").write_bytes(b"no image")
    tool = REPOSITORY / "tools/predict.py"
    found = run_script(tool, *COMMON, "--input", tmp_path / "in", "--output", tmp_path / "out", *options, check=False)
    assert found.returncode == 1 and "unreadable" in found.stdout and "2 images" in found.stdout
    rows = list(csv.DictReader((tmp_path / "out/predictions.csv").open()))
    scores = [float(rows[0][f"score {rank}"]) for rank in range(1, 6)]
    assert (
        scores == sorted(scores, reverse=True)
        and 0 < scores[0] <= 1
        and len({rows[0][f"class {rank}"] for rank in range(1, 6)}) == 5
    )
    (tmp_path / "film.mp4").write_bytes(b"")
    found = run_script(tool, *COMMON, "--input", tmp_path / "film.mp4", "--output", tmp_path / "out", *options, check=False)
    assert "is a video: a classifier takes an image" in found.stderr


def test_galleries_and_checks(options, datasets, tmp_path):
    tool = REPOSITORY / "tools/view_pseudo_labels.py"
    page = tmp_path / "gallery.html"
    run_script(tool, *COMMON, "--truth", "toycity_cls_foggy_val", "--count", 6, "--output", page, *options)
    text = page.read_text()
    assert "diagnostic: uses target labels" in text and "of the teacher&#39;s labels are right" in text
    run_script(tool, *COMMON, "--input", datasets / "toycity_cls/foggy/val", "--count", 3, "--output", page, *options)
    assert "diagnostic" not in page.read_text() and "student: " in page.read_text()
    check = run_script(REPOSITORY / "tools/check_dataset.py", *COMMON, "--output", tmp_path)
    assert (
        "toycity_cls_clear_train" in check.stdout
        and "| rider" in check.stdout
        and (tmp_path / "toycity_cls_clear_train.png").is_file()
    )


def test_checkpoints_are_converted_and_exported(options, run, tmp_path):
    tool = REPOSITORY / "tools/convert_checkpoint.py"
    plain = tmp_path / "plain.pth"
    run_script(tool, run / "model_final.pth", plain, "--student", *COMMON, *TINY_CLASSIFICATION)
    state = files.load(plain)["model"]
    assert not any(name.startswith("student.") for name in state) and "classifier.weight" in state
    exported = run_script(REPOSITORY / "tools/export_model.py", *COMMON, "--output", tmp_path / "x.onnx", *options)
    assert "probabilities differ from the student's by at most" in exported.stdout
    description = json.loads((tmp_path / "x.onnx.json").read_text())
    assert description["input"] == [3, 32, 32] and (description["squeezed_to"], description["crop"]) == (36, 32)
