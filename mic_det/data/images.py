"""The one reader of images: training, evaluation, prediction and pictures see the same pixels."""

import contextlib
import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from detectron2.utils.logger import log_first_n
from PIL import Image, ImageFile, TiffImagePlugin, UnidentifiedImageError

from mic_det.errors import UserError

FULL_RANGE = {np.dtype(np.uint8): 255.0, np.dtype(np.uint16): 65535.0, np.dtype(np.float32): 1.0, np.dtype(np.float64): 1.0}
ORIENTATION, WIDTH, HEIGHT, CHANNELS = 274, 256, 257, 277  # numbers of TIFF's and EXIF's tags
# How to turn an image of EXIF's orientations 2 to 8 upright.
TURNS = dict(
    enumerate(
        (
            *(Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.ROTATE_180, Image.Transpose.FLIP_TOP_BOTTOM),
            *(Image.Transpose.TRANSPOSE, Image.Transpose.ROTATE_270, Image.Transpose.TRANSVERSE, Image.Transpose.ROTATE_90),
        ),
        start=2,
    )
)
ValueRange = tuple[float | str, ...]  # INPUT.RANGE; see `read_image`
FEW_LEVELS = 64  # of 256: an image with fewer looks like one grey


class RangeError(UserError):
    """An image's values do not fit INPUT.RANGE."""


def read_image(path: str | Path, image_format: str = "BGR", value_range: ValueRange = ()) -> np.ndarray:
    """An image as HxWx3 uint8, upright by its EXIF orientation; transparency is dropped, and of several pages the first is read.

    Args:
        image_format: "BGR" or "RGB".
        value_range: INPUT.RANGE, the values that become 0 and 255: (low, high), ("min", "max") for the image's own extremes, or
            () for the whole range of its number type: 0 to 255, 0 to 65535, or 0 to 1 for floats.

    Raises:
        OSError: when the file is missing, broken or no image.
        RangeError: when its values do not fit `value_range`.
    """
    with decoding(path):
        pixels = decode(path)
    if value_range or pixels.dtype != np.uint8:
        pixels = to_bytes(pixels, value_range, path)
    return np.ascontiguousarray(pixels[..., ::-1] if image_format == "BGR" else pixels)


@contextlib.contextmanager
def decoding(path: str | Path) -> Iterator[None]:
    """Turn whatever a decoder raises for a broken file (there is no complete list) into an OSError that names it."""
    try:
        yield
    except Exception as error:
        raise OSError(named(path, error)) from error


def named(path: str | Path, error: Exception) -> str:
    """What is wrong with a file, with its name, which many errors lack."""
    reason = str(error) or type(error).__name__
    is_named = re.search(rf"(?<![\w./-]){re.escape(str(path))}(?![\w/-])", reason)
    return reason if is_named else f"{path}: {reason}"


def decode(path: str | Path) -> np.ndarray:
    """HxWx3 RGB in the file's own number type."""
    try:
        with Image.open(path) as image:
            if not is_deep(image):
                return np.asarray(upright(image).convert("RGB"))
    except UnidentifiedImageError:
        check_channels(path)
    # OpenCV keeps 16 bits and floats, and knows TIFFs that PIL does not.
    pixels = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_ANYDEPTH | cv2.IMREAD_ANYCOLOR)
    if pixels is None:
        raise OSError(f"{path} cannot be read as an image")
    return pixels[..., ::-1] if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)


def orientation(image: Image.Image) -> int:
    """EXIF's orientation of an opened image, 1 to 8; 1 where there is none, or none that can be read."""
    with contextlib.suppress(Exception):
        return image.getexif().get(ORIENTATION, 1)
    return 1


def upright(image: Image.Image) -> Image.Image:
    """The decoded image, turned by its orientation."""
    image.load()  # first: PIL itself turns TIFFs here, in some versions
    turn = TURNS.get(orientation(image))
    return image if turn is None else image.transpose(turn)


def is_deep(image: ImageFile.ImageFile) -> bool:
    """Whether an opened image has more than 8 bits per channel, which PIL would clip or cut off."""
    arguments = image.tile[0].args if image.tile else ()
    arguments = arguments if isinstance(arguments, tuple) else (arguments,)
    if image.format == "PPM":
        return image.mode == "I" or any(isinstance(value, int) and value > 255 for value in arguments)
    # Raw modes such as RGB;16B; a bitmap's BGR;16 has 16 bits for all three channels together.
    deep = any(isinstance(value, str) and re.search(r";16[BLNS]?$", value) and "BGR" not in value for value in arguments)
    return deep or image.mode[0] in "IF"


def check_channels(path: str | Path) -> None:
    """Raise OSError for a TIFF with 2 or more than 4 channels, of which OpenCV would make something else."""
    with open(path, "rb") as file:
        header = file.read(8)
        if header[:4] not in (b"II*\0", b"MM\0*"):
            return
        tags = TiffImagePlugin.ImageFileDirectory_v2(header)
        file.seek(tags.next)
        tags.load(file)
    if tags.get(CHANNELS, 1) not in (1, 3, 4):
        raise OSError(f"{path} has {tags[CHANNELS]} channels: images have 1, 3 or 4")


def to_bytes(pixels: np.ndarray, value_range: ValueRange, path: str | Path) -> np.ndarray:
    """Scale values to uint8; see `read_image`. What is no number becomes 0."""
    values = pixels.astype(np.float32)
    finite = values[np.isfinite(values)]
    if not finite.size:
        raise RangeError(f"{path} holds no finite number")
    least, most = float(finite.min()), float(finite.max())
    if value_range:
        low = least if value_range[0] == "min" else float(value_range[0])
        high = most if value_range[1] == "max" else float(value_range[1])
    elif pixels.dtype in FULL_RANGE:
        low, high = 0.0, FULL_RANGE[pixels.dtype]
    else:
        raise RangeError(f"{path} holds numbers of type {pixels.dtype}: set INPUT.RANGE to the values that are black and white")
    level = (high - low) / 255
    if not value_range and (least < low - level or most > high + level):
        found = f"{least:g} to {most:g}"
        raise RangeError(
            f"{path} holds values from {found} instead of 0 to {high:g}: set INPUT.RANGE to those that are black and white"
        )
    scaled = (np.nan_to_num(values, nan=low) - low) / max(high - low, float(np.finfo(np.float32).tiny))
    return (255 * scaled.clip(0, 1) + 0.5).astype(np.uint8)


def scale_frame(frame: np.ndarray, value_range: ValueRange) -> np.ndarray:
    """A video's HxWx3 uint8 frame by INPUT.RANGE, unless that is of deeper images: videos of such cameras are scaled already."""
    deep = any(not isinstance(limit, str) and not 0 <= limit <= 255 for limit in value_range)
    return frame if not value_range or deep else to_bytes(frame, value_range, "a video's frame")


def image_size(path: str | Path) -> tuple[int, int]:
    """(height, width) of the upright image, from its header where PIL knows the format.

    Raises:
        OSError: when the file is missing, broken or no image.
    """
    with decoding(path):
        try:
            with Image.open(path) as image:
                # PIL turns the size of a TIFF by its orientation, in some versions.
                if isinstance(image, TiffImagePlugin.TiffImageFile):
                    width, height = image.tag_v2[WIDTH], image.tag_v2[HEIGHT]
                else:
                    width, height = image.size
                # Orientations 5 to 8 lie on their side.
                return (width, height) if orientation(image) in (5, 6, 7, 8) else (height, width)
        except UnidentifiedImageError:
            return decode(path).shape[:2]


@dataclass(frozen=True)
class ImageReader:
    """`read_image` with the settings of a run: path -> HxWx3 uint8."""

    image_format: str = "BGR"
    value_range: ValueRange = ()

    def __call__(self, path: str | Path) -> np.ndarray:
        """See `read_image`."""
        return read_image(path, self.image_format, self.value_range)


def check_values(paths: list[str], name: str, value_range: ValueRange) -> None:
    """Warn when images of a dataset lose most of what they hold, judged by its first, middle and last one.

    Thermal and medical cameras use a small part of their 16 bits: without INPUT.RANGE their images are almost black.

    Raises:
        RangeError: when the values of none of them fit `value_range`.
    """
    levels, faults = [], []
    for path in {paths[0]: 0, paths[len(paths) // 2]: 0, paths[-1]: 0}:
        try:
            with decoding(path):
                pixels = decode(path)
            if pixels.dtype == np.uint8 and not value_range:
                return
            scaled = to_bytes(pixels, value_range, path)
        except OSError:
            continue
        except RangeError as error:
            faults.append(error)
            continue
        darkest, brightest = np.percentile(scaled, (1, 99))
        levels.append((brightest - darkest, f"{path} ({pixels.dtype}) holds {np.nanmin(pixels):g} to {np.nanmax(pixels):g}"))
    if faults and not levels:
        raise faults[0]
    if levels and max(levels)[0] < FEW_LEVELS:
        found = f"INPUT.RANGE is {tuple(value_range)}" if value_range else "INPUT.RANGE is not set"
        # Once: a run reads its datasets several times.
        message = (
            f"{name}: its images use few of the 256 grey levels that a network sees: {max(levels)[1]}, and {found}. "
            'Set it to the values that are black and white, or to ("min", "max").'
        )
        log_first_n(logging.WARNING, message, key="message")
