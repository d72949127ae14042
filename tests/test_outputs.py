"""Writing: whole files or none, no input lost, no two results under one name, and one sentence where the disk says no."""

import errno
import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from mic_det import outputs
from mic_det.errors import UserError
from mic_det.tooling import run_tool

IMAGE = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)


@pytest.mark.parametrize("write", [lambda path: outputs.write_image(path, IMAGE), lambda path: outputs.write_json(path, [1])])
def test_a_folder_or_a_file_in_the_way_is_one_sentence(tmp_path, write):
    (tmp_path / "a.png").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"a\.png cannot be written: Is a directory\.$"):
        write(tmp_path / "a.png")
    with pytest.raises(UserError, match=r"file/b\.png cannot be written: (File exists|Not a directory)\.$"):
        write(tmp_path / "file/b.png")
    assert {path.name for path in tmp_path.iterdir()} == {"a.png", "file"}


def test_a_full_disk_leaves_the_former_file(tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    outputs.write_json(path, {"old": 1})

    def full(self, content):
        with self.open("wb") as file:
            file.write(content[:3])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(UserError, match=r"a\.json cannot be written: No space left on device"):
        outputs.write_json(path, {"new": 2})
    assert path.read_text() == '{"old": 1}' and list(tmp_path.iterdir()) == [path]


def test_images_come_back(tmp_path):
    outputs.write_image(tmp_path / "deep/er/a.png", IMAGE)
    assert np.array_equal(cv2.imread(str(tmp_path / "deep/er/a.png")), IMAGE)
    with pytest.raises(UserError, match=r"b\.jpg cannot be written: the format does not take 70000 x 1 uint8 pixels"):
        outputs.write_image(tmp_path / "b.jpg", np.zeros((1, 70000, 3), np.uint8))
    with pytest.raises(UserError, match=r"c\.unknown cannot be written"):
        outputs.write_image(tmp_path / "c.unknown", IMAGE)


def test_devices_stay_devices(tmp_path):
    outputs.write_text("/dev/null", "text")
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize(
    "files",
    [
        ["a.png", "b.jpg"],
        ["a.png", "a.jpg", "a.bmp"],
        ["a.png", "a.jpg", "a.png.bmp"],  # the last would be a.png.jpg as well
        ["x/a.png", "y/a.png", "x/a.jpeg"],
        ["a.png", "A.png", "a.JPG", "A.png_.png"],
    ],
)
def test_different_images_have_different_pictures(files):
    names = outputs.distinct_names(map(Path, files), ".jpg")
    assert len({str(name).lower() for name in names}) == len(files)
    for file, name in zip(files, names, strict=True):
        assert name.suffix == ".jpg" and name.parent == Path(file).parent and name.name.startswith(Path(file).stem)


def test_names_that_are_free_stay_short():
    assert list(map(str, outputs.distinct_names([Path("x/a.png"), Path("b.0.png")], ".jpg"))) == ["x/a.jpg", "b.0.jpg"]


def test_an_input_is_known_by_any_name(tmp_path):
    (tmp_path / "in.png").write_bytes(b"x")
    (tmp_path / "link.png").symlink_to("in.png")
    os.link(tmp_path / "in.png", tmp_path / "hard.png")
    for name in ("in.png", "link.png", "hard.png", "../" + tmp_path.name + "/in.png"):
        with pytest.raises(UserError, match="--report: .* is an input of this command"):
            outputs.refuse_overwrite([tmp_path / "in.png", None, ""], [tmp_path / "new.png", tmp_path / name], "--report")
    outputs.refuse_overwrite([tmp_path / "in.png", tmp_path / "missing.png"], [tmp_path / "new.png", tmp_path / "missing.png"])


def test_a_place_that_takes_nothing_is_named_before_the_work(tmp_path):
    (tmp_path / "file").touch()
    outputs.refuse_unwritable(tmp_path / "new/deeper")
    with pytest.raises(UserError, match="--json: nothing can be written to .*file/new, because of .*file: it is no folder"):
        outputs.refuse_unwritable(tmp_path / "file/new", "--json")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES])
def test_tools_end_with_a_sentence_when_the_disk_refuses(number):
    def main():
        raise OSError(number, os.strerror(number), "metrics.json")

    with pytest.raises(SystemExit) as found:
        run_tool(main)
    assert found.value.code == f"error: metrics.json: {os.strerror(number)}."
