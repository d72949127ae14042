"""What `pip install mic-det` brings: the wheel, made from the sdist, installed and used outside the repository."""

import json
import os
import subprocess
import sys
import tarfile
import zipfile

import pytest

from mic_det import library
from tests.conftest import REPOSITORY, TINY


def run(*words, cwd, check=True, **environment):
    result = subprocess.run([*map(str, words)], cwd=cwd, env={**os.environ, **environment}, capture_output=True, text=True)
    assert not check or result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
    return result


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel that the sdist gives, without a trace in the checkout."""
    folder = tmp_path_factory.mktemp("package")
    setup = (sys.executable, "setup.py", "-q")
    run(*setup, "egg_info", "-e", folder, "sdist", "-d", folder, cwd=REPOSITORY, PYTHONWARNINGS="ignore")
    with tarfile.open(next(folder.glob("*.tar.gz"))) as archive:
        archive.extractall(folder / "source", filter="data")
    (source,) = (folder / "source").iterdir()
    run(*setup, "bdist_wheel", "-d", folder, cwd=source, PYTHONWARNINGS="ignore")
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def site(wheel, tmp_path_factory):
    """A folder with the wheel installed; its dependencies are this environment's."""
    folder = tmp_path_factory.mktemp("installed")
    pip = (sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--no-compile")
    run(*pip, "--target", folder, wheel, cwd=folder)
    return folder


@pytest.fixture(scope="module")
def installed(site, tmp_path_factory):
    """mic_det(*words, **environment) runs the installed command in an empty folder."""
    elsewhere = tmp_path_factory.mktemp("elsewhere")

    def mic_det(*words, **environment):
        limits = {"OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
        return run(site / "bin/mic-det", *words, cwd=elsewhere, PYTHONPATH=str(site), **limits, **environment)

    return mic_det


def test_the_wheel_is_complete(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    sources = {str(path.relative_to(REPOSITORY)) for path in (REPOSITORY / "mic_det").rglob("*.py")}
    configs = {f"mic_det/{path.relative_to(REPOSITORY)}" for path in (REPOSITORY / "configs").rglob("*") if path.is_file()}
    assert sources | configs <= names
    assert {"mic_det/py.typed", "mic_det/reporting/report.html.j2"} <= names
    assert any(name.endswith("dist-info/licenses/LICENSE") for name in names)
    assert not any(name.startswith(("tests/", "tools/", "configs/")) for name in names)


def test_the_library_is_the_wheel_s_own(installed):
    found = json.loads(installed("configs", "ls", "--json").stdout)
    assert [entry["name"] for entry in found] == library.names()
    assert not any(entry["path"].startswith(str(REPOSITORY)) for entry in found)
    assert "_BASE_" in installed("configs", "show", "toycity_mic", "--raw").stdout


def test_the_doctor_is_content(installed):
    found = json.loads(installed("doctor", "--json").stdout)
    assert found["well"] and str(REPOSITORY / "mic_det") not in json.dumps(found)


def test_the_licence_for_detectron2_is_at_hand(site, tmp_path):
    code = "from mic_det.installation import detectron2; print(detectron2.__file__); print(detectron2.license_text().decode())"
    lines = run(sys.executable, "-c", code, cwd=tmp_path, PYTHONPATH=str(site)).stdout.splitlines()
    assert lines[0].startswith(str(site)) and "Apache License" in "".join(lines[1:5])


def test_the_demo_s_first_iterations(installed, datasets, tmp_path):
    short = [*TINY, "SOLVER.MAX_ITER", 4, "MODEL.MIC.BURN_IN", 2, "SOLVER.CHECKPOINT_PERIOD", 2]
    run = installed("demo", "--output", tmp_path, *short, DETECTRON2_DATASETS=str(datasets))
    assert "| mic" in run.stdout and (tmp_path / "report.html").is_file() and (tmp_path / "mic/model_final.pth").is_file()
