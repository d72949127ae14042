"""Imports run one way: pyproject.toml has the order of the rooms, and every room has a place in it."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

pytest.importorskip("importlinter")
tomllib = pytest.importorskip("tomllib")
LINT = Path(sys.executable).with_name("lint-imports")


def lint(folder):
    return subprocess.run([LINT, "--no-cache"], cwd=folder, env={"PYTHONPATH": str(folder)}, capture_output=True, text=True)


def test_no_import_runs_upwards():
    run = lint(REPOSITORY)
    assert run.returncode == 0 and "1 kept, 0 broken" in run.stdout, run.stdout + run.stderr


@pytest.mark.parametrize(
    ("module", "upper"),
    [
        ("errors", "engine"),
        ("data/builtin", "toycity"),
        ("checkpoint/files", "modeling"),
        ("engine/run", "experiments"),
        ("modeling/decode_head/language", "data"),
    ],
)
def test_an_upward_import_is_named(tmp_path, module, upper):
    shutil.copytree(REPOSITORY / "mic_det", tmp_path / "mic_det", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPOSITORY / "pyproject.toml", tmp_path)
    with (tmp_path / f"mic_det/{module}.py").open("a") as file:
        file.write(f"\n\ndef later():\n    import mic_det.{upper}\n")
    run = lint(tmp_path)
    assert run.returncode == 1 and f"mic_det.{module.replace('/', '.')} -> mic_det.{upper}" in run.stdout, run.stdout


def test_every_room_has_a_place():
    config = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["importlinter"]
    placed = {name.strip("( )\n") for layer in config["contracts"][0]["layers"] for name in layer.replace("|", ":").split(":")}
    package = REPOSITORY / "mic_det"
    modules = [path.with_suffix("") for path in package.glob("*.py")] + [path.parent for path in package.glob("*/__init__.py")]
    names = {f"mic_det.{path.name}" for path in modules} - {"mic_det.__init__", "mic_det.checkpoint"}
    names |= {f"mic_det.checkpoint.{path.stem}" for path in (package / "checkpoint").glob("*.py")} - {
        "mic_det.checkpoint.__init__"
    }
    assert names <= placed, names - placed
