import subprocess
import zipfile

import pytest

from mic_det.errors import UserError
from mic_det.installation import detectron2 as tool
from tests.conftest import run_script


def test_an_installed_detectron2_is_kept(monkeypatch):
    monkeypatch.setattr(tool, "pip", lambda *args, failure: pytest.fail("pip was called"))
    answer = tool.install()
    assert answer.startswith("detectron2 0.6 in ") and answer.endswith("is kept.")


@pytest.mark.parametrize("command", [("tools/install_detectron2.py",), ("-m", "mic_det", "install-detectron2")])
def test_the_script_and_the_verb_say_so(command):
    assert run_script(*command).stdout.strip().endswith("is kept.")


def test_no_network_is_one_sentence(monkeypatch):
    monkeypatch.setattr(tool, "describe_installed", lambda: None)
    failed = subprocess.CompletedProcess([], 1, "", "WARNING: x\nERROR: No matching distribution found\n")
    monkeypatch.setattr(tool.subprocess, "run", lambda *args, **kwargs: failed)
    with pytest.raises(UserError, match=r"check the network.*No matching distribution found"):
        tool.install()


def test_a_wrong_file_is_refused(tmp_path):
    (tmp_path / "x.whl").write_bytes(b"something else")
    with pytest.raises(UserError, match=r"x\.whl has sha256 .* expected a2900cff"):
        tool.verify(tmp_path / "x.whl")


@pytest.mark.parametrize(("missing", "message"), [("git", "needs the git command"), ("c++", "no C\\+\\+ compiler was found")])
def test_building_from_git_checks_its_needs(monkeypatch, missing, message):
    compilers = ("c++", "g++", "clang++", "cl")
    absent = compilers if missing == "c++" else (missing,)
    monkeypatch.setattr(tool.shutil, "which", lambda name: None if name in absent else f"/bin/{name}")
    with pytest.raises(UserError, match=message):
        tool.install_from_git(None)


def test_git_builds_without_isolation_at_the_ref(monkeypatch):
    calls = []
    monkeypatch.setattr(tool.shutil, "which", lambda name: f"/bin/{name}")
    monkeypatch.setattr(tool, "pip", lambda *args, failure: calls.append(args))
    tool.install_from_git("v0.6")
    assert calls == [("install", "--no-build-isolation", "git+https://github.com/facebookresearch/detectron2.git@v0.6")]


def test_repacking_undoes_the_prefix_and_makes_a_proper_wheel(tmp_path):
    carrier = tmp_path / "carrier.whl"
    with zipfile.ZipFile(carrier, "w") as archive:
        archive.writestr("LabGym/detectron2/__init__.py", "from LabGym.detectron2.utils import x\n")
        archive.writestr("LabGym/detectron2/model_zoo/configs/a.yaml", "A: 1\n")
        archive.writestr("LabGym/other.py", "never taken")
    wheel = tool.repack(carrier, tmp_path)
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        assert archive.read("detectron2/__init__.py") == b"from detectron2.utils import x\n"
        assert b"Apache License" in archive.read("detectron2-0.6.dist-info/licenses/LICENSE")
        record = archive.read("detectron2-0.6.dist-info/RECORD").decode()
    assert names == {"detectron2/__init__.py", "detectron2/model_zoo/configs/a.yaml"} | {
        f"detectron2-0.6.dist-info/{name}" for name in ("METADATA", "WHEEL", "RECORD", "licenses/LICENSE")
    }
    assert all(f"{name}," in record for name in names)
