import importlib.util
import subprocess
import zipfile

import pytest

from tests.conftest import REPOSITORY


@pytest.fixture
def tool(monkeypatch):
    spec = importlib.util.spec_from_file_location("install_detectron2", REPOSITORY / "tools/install_detectron2.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_an_installed_detectron2_is_kept(tool, capsys, monkeypatch):
    monkeypatch.setattr(tool, "pip", lambda *args, failure: pytest.fail("pip was called"))
    assert tool.main([]) == 0
    out = capsys.readouterr().out
    assert out.startswith("detectron2 0.6 in ") and out.strip().endswith("is kept.")


def test_no_network_is_one_sentence(tool, capsys, monkeypatch):
    monkeypatch.setattr(tool, "describe_installed", lambda: None)
    failed = subprocess.CompletedProcess([], 1, "", "WARNING: x\nERROR: No matching distribution found\n")
    monkeypatch.setattr(tool.subprocess, "run", lambda *args, **kwargs: failed)
    assert tool.main([]) == 1
    error = capsys.readouterr().err
    assert len(error.strip().splitlines()) == 1
    assert "check the network" in error and "No matching distribution found" in error


def test_a_wrong_file_is_refused(tool, tmp_path):
    (tmp_path / "x.whl").write_bytes(b"something else")
    with pytest.raises(tool.InstallError, match=r"x\.whl has sha256 .* expected a2900cff"):
        tool.verify(tmp_path / "x.whl")


@pytest.mark.parametrize(("missing", "message"), [("git", "needs the git command"), ("c++", "no C\\+\\+ compiler was found")])
def test_building_from_git_checks_its_needs(tool, monkeypatch, missing, message):
    compilers = ("c++", "g++", "clang++", "cl")
    absent = compilers if missing == "c++" else (missing,)
    monkeypatch.setattr(tool.shutil, "which", lambda name: None if name in absent else f"/bin/{name}")
    with pytest.raises(tool.InstallError, match=message):
        tool.install_from_git(None)


def test_git_builds_without_isolation_at_the_ref(tool, monkeypatch):
    calls = []
    monkeypatch.setattr(tool.shutil, "which", lambda name: f"/bin/{name}")
    monkeypatch.setattr(tool, "pip", lambda *args, failure: calls.append(args))
    tool.install_from_git("v0.6")
    assert calls == [("install", "--no-build-isolation", "git+https://github.com/facebookresearch/detectron2.git@v0.6")]


def test_repacking_undoes_the_prefix_and_makes_a_proper_wheel(tool, tmp_path):
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
