"""Pictures and figures as data URIs, so that a page needs no other file."""

import base64
import io
from collections.abc import Callable, Sequence
from typing import NamedTuple

import cv2
import numpy as np
from matplotlib.figure import Figure

from mic_det.reporting.figures import theme

WIDEST = 1600  # pixels; wider pictures are shrunk, so that a report of Cityscapes can still be sent


class Picture(NamedTuple):
    """An embedded picture: its caption, data URI, and size in pixels."""

    caption: str
    uri: str
    width: int
    height: int


class Plot(NamedTuple):
    """An embedded figure for light and for dark pages: data URIs, what it shows in words, and its size in pixels."""

    light: str
    dark: str
    caption: str
    width: int
    height: int


def embed(data: bytes, kind: str) -> str:
    """Data URI of an image of the given kind, e.g. `jpeg`."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def embed_image(image: np.ndarray) -> str:
    """HxWx3 uint8 RGB -> data URI."""
    return embed(cv2.imencode(".jpg", image[..., ::-1], (cv2.IMWRITE_JPEG_QUALITY, 88))[1].tobytes(), "jpeg")


def embed_picture(caption: str, image: np.ndarray) -> Picture:
    """Picture of an HxWx3 uint8 RGB image, at most WIDEST pixels wide."""
    if image.shape[1] > WIDEST:
        height = max(round(image.shape[0] * WIDEST / image.shape[1]), 1)
        image = cv2.resize(image, (WIDEST, height), interpolation=cv2.INTER_AREA)
    return Picture(caption, embed_image(image), image.shape[1], image.shape[0])


def embed_rows(rows: Sequence[Sequence[tuple[str, np.ndarray]]]) -> list[list[Picture]]:
    """Pictures of rows of (caption, HxWx3 uint8 RGB image)."""
    return [[embed_picture(caption, image) for caption, image in row] for row in rows]


def embed_figure(draw: Callable[[], Figure], caption: str) -> Plot:
    """The Plot of a figure that `draw` makes, once for light and once for dark pages."""
    drawn, width, height = {}, 0, 0
    for name in ("light", "dark"):
        with theme(name):
            figure, buffer = draw(), io.BytesIO()
            figure.savefig(buffer, format="svg", metadata={"Date": None}, transparent=True)
        drawn[name] = embed(buffer.getvalue(), "svg+xml")
        width, height = (round(96 * inches) for inches in figure.get_size_inches())
    return Plot(drawn["light"], drawn["dark"], caption, width, height)
