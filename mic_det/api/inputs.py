"""What a model predicts on: files, folders, videos, arrays, tensors and PIL images, all as RGB arrays."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import cv2
import numpy as np
import torch
from detectron2.config import CfgNode
from PIL import Image

from mic_det.data.images import named, read_image, scale_frame, upright
from mic_det.data.stream import READ_ERRORS
from mic_det.errors import UserError
from mic_det.inference.inputs import find_images, is_video

Input: TypeAlias = str | Path | np.ndarray | torch.Tensor | Image.Image


@dataclass(frozen=True)
class Picture:
    """An image to predict on.

    Attributes:
        pixels: HxWx3 uint8 RGB.
        name: of its file, of a video with the number of the frame; "" for an image that came without a file.
    """

    pixels: np.ndarray
    name: str = ""


def is_stream(source: Input) -> bool:
    """Whether an input is a folder or a video, which hold many images."""
    return isinstance(source, str | Path) and (Path(source).is_dir() or is_video(source))


def read_picture(source: Input, cfg: CfgNode) -> Picture:
    """One image as the pixels that predictions are drawn on.

    Raises:
        UserError: for a file that is missing, broken or no image, and for arrays and tensors of another shape or number type.
    """
    if isinstance(source, str | Path):
        path = Path(source).expanduser()
        find_images(path)
        return read_file(path, cfg)
    if isinstance(source, Image.Image):
        return Picture(np.array(upright(source).convert("RGB")))
    if isinstance(source, torch.Tensor):
        return Picture(pixels_of(source))
    if isinstance(source, np.ndarray):
        if source.ndim != 3 or source.shape[2] != 3 or source.dtype != np.uint8 or not source.size:
            raise UserError(f"An array must be HxWx3 uint8 in RGB, but is {source.dtype} of shape {source.shape}.")
        return Picture(source)
    raise UserError(f"A {type(source).__name__} cannot be predicted on: give a path, an RGB array, a tensor or a PIL image.")


def pixels_of(tensor: torch.Tensor) -> np.ndarray:
    """HxWx3 uint8 of a 3xHxW tensor, uint8 or floats from 0 to 1. Raises UserError for others."""
    if tensor.ndim != 3 or tensor.shape[0] != 3 or not tensor.numel():
        raise UserError(f"A tensor must be 3xHxW in RGB, but has the shape {tuple(tensor.shape)}.")
    if tensor.is_floating_point() and float(tensor.min()) >= 0 and float(tensor.max()) <= 1:
        tensor = (255 * tensor).round().byte()
    if tensor.dtype != torch.uint8:
        raise UserError(f"A tensor must hold uint8, or floats from 0 to 1, but is {tensor.dtype} of other values.")
    return np.ascontiguousarray(tensor.detach().permute(1, 2, 0).cpu().numpy())


def read_file(path: Path, cfg: CfgNode) -> Picture:
    """An image file, by INPUT.RANGE. Raises UserError when it cannot be used."""
    try:
        return Picture(read_image(path, "RGB", tuple(cfg.INPUT.RANGE)), str(path))
    except READ_ERRORS as error:
        raise UserError(f"{named(path, error)}.") from None


def stream(source: str | Path, cfg: CfgNode) -> Iterator[Picture]:
    """The images of a folder, in the order of their names, or the frames of a video, one after the other.

    Raises:
        UserError: for the first file that cannot be used, and for a video that cannot be opened.
    """
    path = Path(source).expanduser()
    if is_video(path):
        yield from frames(path, cfg)
    else:
        for file in find_images(path):
            yield read_file(file, cfg)


def frames(path: Path, cfg: CfgNode) -> Iterator[Picture]:
    """The frames of a video, named `clip.mp4#0` and so on."""
    capture = cv2.VideoCapture(str(path))
    try:
        if not capture.isOpened():
            raise UserError(f"{path} cannot be opened as a video.")
        number = 0
        while (found := capture.read())[0]:
            frame = scale_frame(found[1], cfg.INPUT.RANGE)
            yield Picture(np.ascontiguousarray(frame[..., ::-1]), f"{path}#{number}")
            number += 1
    finally:
        capture.release()
