import pytest
import torch

from mic_det.checkpoint import files
from mic_det.errors import UserError


def test_round_trip_and_last(tmp_path):
    assert files.last_checkpoint(tmp_path) is None
    files.save(tmp_path / "model_0000001.pth", {"x": torch.arange(3), "n": 4})
    files.save(tmp_path / "model_0000002.pth", {"x": torch.arange(3), "n": 5})
    assert files.last_checkpoint(tmp_path).name == "model_0000002.pth"
    assert files.load(files.last_checkpoint(tmp_path))["n"] == 5


def test_a_failed_write_leaves_the_old_file_whole(tmp_path, monkeypatch):
    path = tmp_path / "model_0000001.pth"
    files.save(path, {"n": 1})

    def broken(content, target):
        target.write_bytes(b"half a checkpoint")
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", broken)
    with pytest.raises(UserError, match=r"model_0000001\.pth cannot be written: disk full"):
        files.save(path, {"n": 2})
    monkeypatch.undo()
    assert files.load(path)["n"] == 1 and not list(tmp_path.glob(".*.tmp"))


def test_what_a_killed_process_left_half_written_is_removed(tmp_path):
    (tmp_path / ".model_0000001.pth.1.tmp").touch()
    files.remove_temporary(tmp_path)
    assert not list(tmp_path.iterdir())


def test_only_old_periodic_checkpoints_are_removed(tmp_path):
    for name in ("model_0000001", "model_0000002", "model_0000003", "model_final", "model_stopped"):
        (tmp_path / f"{name}.pth").touch()
    files.remove_old(tmp_path, 0)
    assert len(list(tmp_path.iterdir())) == 5
    files.remove_old(tmp_path, 2)
    assert {path.stem for path in tmp_path.iterdir()} == {"model_0000002", "model_0000003", "model_final", "model_stopped"}


def test_missing_broken_and_malicious_files_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"none\.pth does not exist"):
        files.load(tmp_path / "none.pth")
    (tmp_path / "broken.pth").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"broken\.pth cannot be read"):
        files.load(tmp_path / "broken.pth")

    class Malicious:
        def __reduce__(self):
            return (type(tmp_path).touch, (tmp_path / "executed",))

    torch.save({"model": Malicious()}, tmp_path / "bad.pth")
    with pytest.raises(UserError, match=r"bad\.pth cannot be read"):
        files.load(tmp_path / "bad.pth")
    assert not (tmp_path / "executed").exists()
