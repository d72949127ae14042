"""Where predictions go: never over an input, never two under one name; and videos that hold what they say."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from mic_det.data.images import read_image
from mic_det.errors import UserError
from mic_det.inference.boxes import predict_images
from mic_det.inference.inputs import find_pictures, redraw_video
from mic_det.inference.labels import KINDS


@pytest.fixture
def folder(tmp_path):
    """Images of one stem, in one folder and in two."""
    for name in ("a.png", "a.jpg", "x/b.png", "y/b.png"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(tmp_path / "in" / name), np.full((8, 12, 3), 90, np.uint8))
    return tmp_path / "in"


def test_every_image_has_its_picture(folder, tmp_path):
    names = {str(file.relative_to(folder)): str(name) for file, name in find_pictures(folder, tmp_path / "out", ".jpg")}
    assert names == {"a.jpg": "a.jpg.jpg", "a.png": "a.png.jpg", "x/b.png": "x/b.jpg", "y/b.png": "y/b.jpg"}


@pytest.mark.parametrize("output", ["in", "in/deeper", "in/../in"])
def test_predictions_never_become_input(folder, tmp_path, output):
    with pytest.raises(UserError, match="--output .* lies in --input .*: its pictures would be input the next time"):
        find_pictures(folder, tmp_path / output, ".png")


def test_a_single_image_and_the_own_overlays_are_inputs_too(folder, tmp_path):
    with pytest.raises(UserError, match=r"in/a\.jpg is an input of this command"):
        find_pictures(folder / "a.jpg", folder, ".jpg")
    assert find_pictures(folder / "x/b.png", folder / "x", ".jpg") == [(folder / "x/b.png", Path("b.jpg"))]
    folder.rename(tmp_path / "overlay")
    with pytest.raises(UserError, match="is an input of this command"):
        find_pictures(tmp_path / "overlay", tmp_path, ".png", kinds=KINDS)


def test_servers_need_the_names_as_they_are(folder, tmp_path):
    with pytest.raises(UserError, match="--flat would give .* and .* one name"):
        find_pictures(folder, tmp_path / "out", ".png", flat=True)
    names = [str(name) for _, name in find_pictures(folder / "x", tmp_path / "out", ".png", flat=True)]
    assert names == ["b.png"]


class Finder:
    """Stands for a Predictor that finds nothing."""

    read = staticmethod(read_image)

    def sample(self, image):
        if 1 in image.shape[:2]:
            raise ValueError("height and width must be > 0")
        return image

    def find(self, sample):
        from detectron2.structures import Boxes, Instances

        empty = np.zeros((0, 4), np.float32)
        return Instances(sample.shape[:2], pred_boxes=Boxes(empty), scores=empty[:, 0], pred_classes=empty[:, 0])


def test_what_cannot_be_written_or_resized(folder, tmp_path):
    cv2.imwrite(str(folder / "line.png"), np.zeros((1, 400, 3), np.uint8))
    _, images, unreadable = predict_images(Finder(), folder, tmp_path / "out", [], 0.5)
    assert len(images) == len(list((tmp_path / "out").rglob("*.jpg"))) == 4
    assert len(unreadable) == 1 and "line.png: height and width" in unreadable[0]
    (tmp_path / "out2/x/b.jpg").mkdir(parents=True)
    with pytest.raises(UserError, match=r"x/b\.jpg cannot be written"):
        predict_images(Finder(), folder, tmp_path / "out2", [], 0.5)


@pytest.fixture
def clip(tmp_path):
    writer = cv2.VideoWriter(str(tmp_path / "clip.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 5, (64, 48))
    for level in range(7):
        writer.write(np.full((48, 64, 3), 30 * level, np.uint8))
    writer.release()
    return tmp_path / "clip.mp4"


def frames(path):
    video = cv2.VideoCapture(str(path))
    count = 0
    while video.read()[0]:
        count += 1
    return count


def test_a_video_holds_all_frames(clip, tmp_path):
    assert redraw_video(clip, tmp_path / "out/clip.mp4", lambda frame: 255 - frame) == frames(tmp_path / "out/clip.mp4") == 7
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["clip.mp4"]


def test_a_video_is_not_written_over_itself_or_in_parts(clip, tmp_path, monkeypatch):
    before = clip.read_bytes()
    with pytest.raises(UserError, match="is an input of this command"):
        redraw_video(clip, tmp_path / "clip.mp4", lambda frame: frame)
    sizes = iter([(48, 64), (48, 64), (40, 64)])
    with pytest.raises(UserError, match="Frame 2 has 64 x 40 pixels, the first 64 x 48"):
        redraw_video(clip, tmp_path / "out/clip.mp4", lambda frame: frame[: next(sizes)[0]])
    (tmp_path / "taken/clip.mp4").mkdir(parents=True)
    with pytest.raises(UserError, match=r"taken/clip\.mp4 cannot be written"):
        redraw_video(clip, tmp_path / "taken/clip.mp4", lambda frame: frame)
    monkeypatch.setattr(cv2, "VideoWriter", lambda *arguments: Deaf())
    with pytest.raises(UserError, match="took 0 of 7 frames"):
        redraw_video(clip, tmp_path / "out/clip.mp4", lambda frame: frame)
    assert clip.read_bytes() == before and not list((tmp_path / "out").iterdir())


class Deaf:
    """A writer on a full disk: it says nothing."""

    def write(self, picture):
        pass

    def release(self):
        pass


def test_a_video_without_frames_is_named(tmp_path):
    (tmp_path / "empty.mp4").write_bytes(b"")
    with pytest.raises(UserError, match="cannot be opened as a video"):
        redraw_video(tmp_path / "empty.mp4", tmp_path / "out/empty.mp4", lambda frame: frame)
