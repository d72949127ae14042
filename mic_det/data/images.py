"""The one reader of images: training, evaluation, prediction and pictures see the same pixels."""

from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

FULL_RANGE = {np.dtype(np.uint8): 255.0, np.dtype(np.uint16): 65535.0, np.dtype(np.float32): 1.0, np.dtype(np.float64): 1.0}


def read_image(path: str | Path, image_format: str = "BGR", value_range: tuple = ()) -> np.ndarray:
    """An image as HxWx3 uint8, upright by its EXIF orientation.

    Args:
        image_format: "BGR" or "RGB".
        value_range: INPUT.RANGE, the values that become 0 and 255: (low, high), ("min", "max") for the image's own extremes, or
            () for the whole range of its number type: 0 to 255, 0 to 65535, or 0 to 1 for floats.

    Raises:
        OSError: when the file is missing, broken or no image.
        ValueError: when its values do not fit `value_range`.
    """
    pixels = decode(path)
    if value_range or pixels.dtype != np.uint8:
        pixels = to_bytes(pixels, value_range, path)
    return np.ascontiguousarray(pixels[..., ::-1]) if image_format == "BGR" else pixels


def decode(path: str | Path) -> np.ndarray:
    """HxWx3 RGB in the file's own number type."""
    try:
        with Image.open(path) as image:
            if not is_deep(image):
                return np.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except UnidentifiedImageError:
        pass  # OpenCV knows formats that PIL does not
    pixels = cv2.imread(str(path), cv2.IMREAD_ANYDEPTH | cv2.IMREAD_ANYCOLOR)
    if pixels is None:
        raise OSError(f"{path} cannot be read as an image")
    return pixels[..., ::-1] if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)


def is_deep(image: Image.Image) -> bool:
    """Whether an opened image has more than 8 bits per channel, which PIL would clip or cut off."""
    raw = image.tile[0][3] if image.tile else ""
    return image.mode[0] in "IF" or "16" in str(raw)


def to_bytes(pixels: np.ndarray, value_range: tuple, path: str | Path) -> np.ndarray:
    """Scale values to uint8; see `read_image`."""
    values = pixels.astype(np.float32)
    if value_range:
        low = float(np.nanmin(values)) if value_range[0] == "min" else float(value_range[0])
        high = float(np.nanmax(values)) if value_range[1] == "max" else float(value_range[1])
    elif pixels.dtype in FULL_RANGE:
        low, high = 0.0, FULL_RANGE[pixels.dtype]
    else:
        raise ValueError(f"{path} holds numbers of type {pixels.dtype}: set INPUT.RANGE to the values that are black and white")
    if not value_range and (np.nanmin(values) < low or np.nanmax(values) > high):
        found = f"{np.nanmin(values):g} to {np.nanmax(values):g}"
        raise ValueError(
            f"{path} holds values from {found} instead of 0 to {high:g}: set INPUT.RANGE to those that are black and white"
        )
    scaled = (np.nan_to_num(values, nan=low) - low) / max(high - low, np.finfo(np.float32).tiny)
    return (255 * scaled.clip(0, 1) + 0.5).astype(np.uint8)


def image_size(path: str | Path) -> tuple[int, int]:
    """(height, width) of the upright image, from its header where PIL knows the format.

    Raises:
        OSError: when the file is missing, broken or no image.
    """
    try:
        with Image.open(path) as image:
            width, height = image.size
            # Orientations 5 to 8 lie on their side.
            return (width, height) if image.getexif().get(0x0112, 1) >= 5 else (height, width)
    except UnidentifiedImageError:
        return decode(path).shape[:2]
