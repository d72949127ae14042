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


@pytest.mark.parametrize("note", ["", "gone.pth", "../other.pth", "/etc/hostname", "folder", "..", "a\0b"])
def test_a_note_that_names_no_checkpoint_of_the_folder(tmp_path, note):
    run = tmp_path / "run"
    (run / "folder").mkdir(parents=True)
    (tmp_path / "other.pth").touch()
    (run / files.LAST).write_text(note)
    with pytest.raises(UserError, match=r"last_checkpoint .*write into it the name of the checkpoint"):
        files.last_checkpoint(run)
    (run / files.LAST).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="is empty or no text"):
        files.last_checkpoint(run)


def test_what_a_run_needs_is_checked_before_anything_is_taken():
    whole = {"model": {"w": torch.zeros(1)}, "iteration": 3, "optimizer": {}}
    files.check_run(whole, "x.pth", ["optimizer"])
    cases = [
        ([1], "holds a list"),
        ({}, "'model' is missing; 'iteration' is missing; 'optimizer' is missing"),
        ({**whole, "iteration": "3"}, "'iteration' is a str, not a int"),
        ({**whole, "iteration": True}, "'iteration' is a bool"),
        ({**whole, "optimizer": None}, "'optimizer' is a NoneType, not a dict"),
        ({**whole, "model": {"w": 3}}, "'model' holds 'w', which is no tensor"),
        ({**whole, "student": 1}, "'student' is no dictionary"),
    ]
    for content, message in cases:
        with pytest.raises(UserError, match=r"x\.pth is no checkpoint of a run") as caught:
            files.check_run(content, "x.pth", ["optimizer"])
        assert message in str(caught.value)
