"""What is predicted on: images, folders of images and videos; and where the pictures of it go."""

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from mic_det.data.coco import IMAGE_SUFFIXES, read_folder
from mic_det.errors import UserError
from mic_det.outputs import distinct_names, refuse_overwrite, writing

MP4 = cv2.VideoWriter.fourcc(*"mp4v")
VIDEO_SUFFIXES = {".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v"}


def is_video(path: str | Path) -> bool:
    """By the suffix."""
    return Path(path).suffix.lower() in VIDEO_SUFFIXES


def find_images(path: str | Path) -> list[Path]:
    """The image itself, or the images of a folder. Raises UserError for what does not exist or is no image."""
    path = Path(path)
    if path.is_dir():
        return [Path(record["file_name"]) for record in read_folder(path)]
    if not path.is_file():
        raise UserError(f"--input {path} does not exist.")
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        raise UserError(f"--input {path} is neither an image nor a video nor a folder.")
    return [path]


def find_pictures(
    source: str | Path, output: str | Path, suffix: str, flat: bool = False, kinds: Sequence[str] = ("",)
) -> list[tuple[Path, Path]]:
    """[(image, path of its picture below `<output>/<kind>`)] of an image or a folder.

    Args:
        suffix: of the pictures.
        flat: leave out the folders between `source` and the images.
        kinds: folders below `output` that pictures will go to.

    Raises:
        UserError: when there is no image, when `output` is or lies in the folder `source`, whose pictures would be input the next
            time, when an image would be overwritten, or, with `flat`, when two pictures would have one name.
    """
    source, output, files = Path(source), Path(output), find_images(source)
    if source.is_dir() and output.resolve().is_relative_to(source.resolve()):
        raise UserError(f"--output {output} lies in --input {source}: its pictures would be input the next time.")
    base = source if source.is_dir() else source.parent
    if flat:
        names = [Path(file.name).with_suffix(suffix) for file in files]
        check_flat(files, names)
    else:
        names = distinct_names([file.relative_to(base) for file in files], suffix)
    refuse_overwrite(files, (output / kind / name for kind in kinds for name in names))
    return list(zip(files, names, strict=True))


def check_flat(files: list[Path], names: list[Path]) -> None:
    """Raise UserError when several of `files` have one of `names`; servers need the names as they are."""
    count = Counter(name.name.casefold() for name in names)
    same = [str(file) for file, name in zip(files, names, strict=True) if count[name.name.casefold()] > 1]
    if same:
        raise UserError(f"--flat would give {' and '.join(same[:2])} one name ({len(same)} such images): leave --flat out.")


def redraw_video(source: str | Path, target: Path, draw: Callable[[np.ndarray], np.ndarray]) -> int:
    """Write a video whose frames are `draw(frame)`, BGR uint8 in and out. Returns the number of frames.

    Raises:
        UserError: when `source` cannot be opened or holds no frame, or the video cannot be written.
    """
    refuse_overwrite([source], [target])
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
    capture = cv2.VideoCapture(str(source))
    if not capture.isOpened():
        raise UserError(f"--input {source} cannot be opened as a video.")
    rate = capture.get(cv2.CAP_PROP_FPS) or 25
    unfinished = target.with_name(f".{target.name}")  # OpenCV goes by the suffix
    writer = VideoWriter(unfinished, rate)
    try:
        with tqdm(total=int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) or None, unit="frame", disable=None) as progress:
            while True:
                found, frame = capture.read()
                if not found:
                    break
                writer.write(np.ascontiguousarray(draw(frame)))
                progress.update()
        if not writer.count:
            raise UserError(f"--input {source} holds no frame that can be read.")
        writer.close()
        with writing(target):
            unfinished.replace(target)
    finally:
        capture.release()
        unfinished.unlink(missing_ok=True)
    return writer.count


class VideoWriter:
    """Writes frames to a video and makes sure that they are there: OpenCV's writer says nothing when they are not.

    Attributes:
        count: frames so far.
    """

    def __init__(self, path: Path, rate: float) -> None:
        """
        Args:
            rate: frames per second.
        """
        self.path, self.rate = path, rate
        self.writer: Any = None
        self.shape: tuple[int, ...] = ()
        self.count = 0

    def write(self, picture: np.ndarray) -> None:
        """Add a frame, HxWx3 BGR uint8. Raises UserError when it is of another size than the first."""
        if self.writer is None:
            self.shape = picture.shape
            self.writer = cv2.VideoWriter(str(self.path), MP4, self.rate, picture.shape[1::-1])
        if picture.shape != self.shape:
            sizes = [f"{shape[1]} x {shape[0]}" for shape in (picture.shape, self.shape)]
            raise UserError(f"Frame {self.count} has {sizes[0]} pixels, the first {sizes[1]}: a video has frames of one size.")
        self.writer.write(picture)
        self.count += 1

    def close(self) -> None:
        """Finish the file. Raises UserError unless all frames are in it."""
        self.writer.release()
        video = cv2.VideoCapture(str(self.path))
        written = int(video.get(cv2.CAP_PROP_FRAME_COUNT)) if video.isOpened() else 0
        video.release()
        if written != self.count:
            raise UserError(f"{self.path.parent} took {written} of {self.count} frames: is there space, and permission to write?")
