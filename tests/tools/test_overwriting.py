"""No tool writes over what it reads, or over something that is not its own."""

import json
import runpy
import sys

import cv2
import numpy as np
import pytest

from tests.conftest import REPOSITORY, TINY

TOYCITY = REPOSITORY / "configs/toycity.yaml"


@pytest.fixture
def tool(monkeypatch):
    """Run a tool in this process; returns what it exits with."""

    def run(name, *arguments):
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        with pytest.raises(SystemExit) as found:
            runpy.run_path(str(REPOSITORY / f"tools/{name}.py"), run_name="__main__")
        return found.value.code

    return run


@pytest.mark.parametrize(
    ("name", "arguments", "option"),
    [
        ("evaluate", ("--annotations", "FILE", "--detections", "found.json", "--report", "FILE"), "--report"),
        ("evaluate", ("--annotations", "truth.json", "--detections", "FILE", "--report", "FILE"), "--report"),
        ("view_pseudo_labels", ("--config-file", TOYCITY, "--input", "FILE", "--output", "FILE", *TINY), "--output"),
        ("export_model", ("--config-file", TOYCITY, "--output", "FILE", *TINY, "MODEL.WEIGHTS", "FILE"), "--output"),
        ("export_model", ("--config-file", TOYCITY, "--image", "FILE", "--output", "FILE", *TINY), "--output"),
        ("benchmark", ("--config-file", TOYCITY, "--json", "FILE", *TINY, "MODEL.WEIGHTS", "FILE"), "--json"),
        ("make_text_bank", ("--classes", "car", "--weights", "FILE", "--output", "FILE"), "--output"),
    ],
)
def test_an_input_is_not_overwritten(tool, tmp_path, name, arguments, option):
    path = tmp_path / "input"
    path.write_text("precious")
    code = tool(name, *(path if argument == "FILE" else argument for argument in arguments))
    assert code == f"error: {option}: {path} is an input of this command and would be overwritten: choose another place."
    assert path.read_text() == "precious"


def test_a_study_needs_two_files_for_its_report(tool, tmp_path):
    code = tool("study", "--methods", "mic", "--report", tmp_path / "report.jsonl", "--output", tmp_path / "runs")
    assert "report.jsonl is where the results of the runs go" in code and not list(tmp_path.iterdir())


def test_datasets_of_one_name_have_a_sheet_each(tool, tmp_path):
    for name in ("a/images", "b/images", "c"):
        (tmp_path / name).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / name / "0.png"), np.full((8, 8, 3), 90, np.uint8))
    folders = [tmp_path / name for name in ("a/images", "b/images", "c")]
    assert tool("check_dataset", *folders, "--output", tmp_path / "sheets") == 0
    names = sorted(path.name for path in (tmp_path / "sheets").iterdir())
    assert len(names) == 3 and names[0] == "c.png" and [name[-12:] for name in names[1:]] == ["a_images.png", "b_images.png"]
    (tmp_path / "c/0.png").rename(tmp_path / "c/c.png")
    before = (tmp_path / "c/c.png").read_bytes()
    assert "is an input of this command" in tool("check_dataset", tmp_path / "c", "--output", tmp_path / "c")
    assert (tmp_path / "c/c.png").read_bytes() == before


def test_an_export_replaces_exports_only(tmp_path):
    from mic_det.checkpoint.export import refuse_foreign
    from mic_det.errors import UserError

    refuse_foreign(tmp_path / "m.onnx")
    (tmp_path / "m.onnx.json").write_text(json.dumps({"mine": 1}))
    with pytest.raises(UserError, match=r"m\.onnx\.json exists and is no earlier export"):
        refuse_foreign(tmp_path / "m.onnx")
    (tmp_path / "m.onnx").touch()
    refuse_foreign(tmp_path / "m.onnx")
    (tmp_path / "model_final.pth").touch()
    with pytest.raises(UserError, match=r"model_final\.pth exists and is no earlier export"):
        refuse_foreign(tmp_path / "model_final.pth")
