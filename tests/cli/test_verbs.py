"""What the verbs print and write."""

import json

import pytest
import torch
import yaml
from detectron2.modeling import build_model

import mic_det.cli
from mic_det.checkpoint import files
from mic_det.config import load_config
from mic_det.errors import UserError
from mic_det.installation import doctor
from tests.conftest import TINY


@pytest.fixture
def weights(tiny_cfg, tmp_path):
    """A run's folder with an untrained detector and its config."""
    cfg = tiny_cfg(name="toycity")
    torch.manual_seed(0)
    (tmp_path / "run").mkdir()
    files.save(tmp_path / "run/model.pth", {"model": build_model(cfg).state_dict()})
    (tmp_path / "run/config.yaml").write_text(cfg.dump())
    return tmp_path / "run/model.pth"


@pytest.fixture
def answer(capsys):
    """answer(words) -> (exit status, JSON on stdout), with nothing else on it."""

    def ask(*words):
        status = mic_det.cli.run([*map(str, words)])
        return status, json.loads(capsys.readouterr().out)

    return ask


def test_list_of_configs_as_a_program_reads_it(answer):
    status, found = answer("configs", "ls", "toycity", "--task", "segmentation", "--json")
    assert status == 0 and {entry["task"] for entry in found} == {"segmentation"}
    entry = next(entry for entry in found if entry["name"] == "toycity_seg_mic_daformer")
    assert entry["method"] == "mic_daformer" and entry["source"] == "toycity_synthetic_train"
    with pytest.raises(UserError, match="No config has that"):
        mic_det.cli.run(["configs", "ls", "nonsense"])


def test_a_copied_config_is_complete_and_means_the_same(tmp_path):
    assert mic_det.cli.run(["configs", "cp", "toycity_mic", str(tmp_path / "mine.yaml")]) == 0
    assert "_BASE_" not in yaml.safe_load((tmp_path / "mine.yaml").read_text())
    assert load_config(tmp_path / "mine.yaml") == load_config("toycity_mic")
    with pytest.raises(UserError, match="exists already"):
        mic_det.cli.run(["configs", "cp", "toycity_mic", str(tmp_path / "mine.yaml")])


def test_raw_and_merged_config(capsys):
    mic_det.cli.run(["configs", "show", "toycity_mic", "--raw"])
    raw = capsys.readouterr().out
    mic_det.cli.run(["configs", "show", "toycity_mic"])
    assert "_BASE_" in raw and "DATASETS" in yaml.safe_load(capsys.readouterr().out)


def test_doctor_finds_what_is_missing(answer, monkeypatch, datasets):
    status, found = answer("doctor", "--json")
    assert status == 0 and found["well"]
    assert "toycity" in next(finding["detail"] for finding in found["findings"] if finding["name"] == "datasets")

    def broken(name):
        if name == "detectron2":
            raise ImportError("no such thing\nand more")
        return original(name)

    original = doctor.importlib.import_module
    monkeypatch.setattr(doctor.importlib, "import_module", broken)
    found = list(doctor.findings())
    (wrong,) = [finding for finding in found if finding.state == "wrong"]
    assert wrong == doctor.Finding("detectron2", "wrong", "does not import: no such thing", "mic-det install-detectron2")


def test_check_as_a_program_reads_it(answer, datasets, tmp_path):
    status, found = answer("check", "--dataset", "toycity_val", "--output", tmp_path, "--json")
    (dataset,) = found["datasets"]
    assert status == 0 and dataset["images"] == 4 and dataset["classes"]["car"].keys() == {"small", "medium", "large"}
    status, found = answer("check", "--dataset", "toycity_vall", "--output", tmp_path, "--json")
    assert status == 1 and "toycity_val" in found["failures"][0]


def test_predict_takes_the_config_beside_the_weights(answer, weights, datasets, tmp_path):
    images = datasets / "toycity/leftImg8bit/val/toyport"
    status, found = answer("predict", "--weights", weights, "--input", images, "--output", tmp_path / "out", "--json")
    assert status == 0 and found == {"images": 4, "unreadable": [], "output": str(tmp_path / "out")}
    command = ["predict", "--weights", str(tmp_path / "x.pth"), "--input", "a", "--output", "b"]
    with pytest.raises(UserError, match=r"--weights: there is no .*x\.pth"):
        mic_det.cli.run(command)
    (tmp_path / "x.pth").touch()
    with pytest.raises(UserError, match=r"--config is missing, and there is no .*config\.yaml"):
        mic_det.cli.run(command)


def test_evaluate_a_model_and_its_detections(answer, weights, tmp_path):
    status, found = answer("evaluate", "--weights", weights, "--dataset", "toycity_val", "--output", tmp_path / "out", "--json")
    assert status == 0 and found.keys() == {"teacher/toycity_val", "student/toycity_val"}
    results = tmp_path / "out/inference/teacher/toycity_val/coco_results.json"
    _, again = answer("evaluate", "--detections", results, "--dataset", "toycity_val", "--json")
    assert again["AP50"] == pytest.approx(found["teacher/toycity_val"]["AP50"])
    with pytest.raises(UserError, match="one of --annotations and --dataset"):
        mic_det.cli.run(["evaluate", "--detections", "x.json"])


def test_prepare_hands_its_words_on(tmp_path, capsys):
    assert mic_det.cli.run(["prepare", "toycity", "--root", str(tmp_path), "--train", "1", "--val", "1", "--workers", "1"]) == 0
    assert (tmp_path / "annotations/instances_train.json").is_file()
    with pytest.raises(SystemExit) as found:
        mic_det.cli.run(["prepare", "voc", "--help"])
    assert found.value.code == 0 and "usage: mic-det prepare voc" in capsys.readouterr().out


def test_train(datasets, tmp_path):
    words = ["train", "--config", "toycity", *map(str, TINY), "SOLVER.MAX_ITER", "1", "OUTPUT_DIR", str(tmp_path)]
    assert mic_det.cli.run(words) == 0
    assert (tmp_path / "model_final.pth").is_file() and (tmp_path / "report.html").is_file()
