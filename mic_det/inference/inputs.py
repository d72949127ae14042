"""What is predicted on: images, folders of images and videos."""

from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from mic_det.data.coco import IMAGE_SUFFIXES, read_folder
from mic_det.errors import UserError

VIDEO_SUFFIXES = {".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v"}


def is_video(path):
    return Path(path).suffix.lower() in VIDEO_SUFFIXES


def find_images(path):
    path = Path(path)
    if path.is_dir():
        return [Path(record["file_name"]) for record in read_folder(path)]
    if not path.is_file():
        raise UserError(f"--input {path} does not exist.")
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        raise UserError(f"--input {path} is neither an image nor a video nor a folder.")
    return [path]


def redraw_video(source, target, draw):
    """Write a video whose frames are `draw(frame)`, BGR uint8 in and out. Returns the number of frames.

    Raises:
        UserError: when `source` cannot be opened.
    """
    capture = cv2.VideoCapture(str(source))
    if not capture.isOpened():
        raise UserError(f"--input {source} cannot be opened as a video.")
    count, writer = 0, None
    rate = capture.get(cv2.CAP_PROP_FPS) or 25
    with tqdm(total=int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) or None, unit="frame", disable=None) as progress:
        while True:
            found, frame = capture.read()
            if not found:
                break
            picture = np.ascontiguousarray(draw(frame))
            writer = writer or cv2.VideoWriter(str(target), cv2.VideoWriter_fourcc(*"mp4v"), rate, picture.shape[1::-1])
            writer.write(picture)
            count += 1
            progress.update()
    capture.release()
    if writer:
        writer.release()
    return count
