"""Text on pictures: on a ground of its own, inside the picture, beside other text where there is room."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import matplotlib
from PIL import ImageDraw, ImageFont

from mic_det.reporting.palette import text_on

Rectangle = tuple[float, float, float, float]  # left, top, right, bottom in pixels
PADDING = 3  # pixels between text and the edge of its ground


@cache
def font(size: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans Bold, which comes with matplotlib and knows Latin, Greek and Cyrillic letters."""
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts/ttf/DejaVuSans-Bold.ttf", size)


def shortened(text: str, size: int, width: float) -> str:
    """The text, cut with an ellipsis where it is wider than `width` pixels."""
    if font(size).getlength(text) <= width:
        return text
    while text and font(size).getlength(f"{text}…") > width:
        text = text[:-1]
    return f"{text}…"


def draw_label(
    draw: ImageDraw.ImageDraw, text: str, box: Rectangle, colour: str, size: int, taken: Sequence[Rectangle] = ()
) -> Rectangle:
    """Write `text` on a ground of `colour` above `box`, or in or below it where others have the place.

    Args:
        size: of the font in pixels.
        taken: places of other labels.

    Returns:
        Where it stands, always inside the picture.
    """
    width, height = draw.im.size
    text = shortened(text, size, width - 2 * PADDING)
    long, high = min(font(size).getlength(text) + 2 * PADDING, width), min(sum(font(size).getmetrics()) + 2, height)
    left, top, _, bottom = box
    rows = (top - high, top, bottom, bottom - high)
    x = min(max(left, 0), width - long)
    places = [(x, y, x + long, y + high) for y in (min(max(row, 0), height - high) for row in rows)]
    place = min(places, key=lambda place: sum(common_area(place, other) for other in taken))
    draw.rectangle(place, fill=colour)
    draw.text((place[0] + PADDING, place[1] + 1), text, fill=text_on(colour), font=font(size))
    return place


def common_area(one: Rectangle, other: Rectangle) -> float:
    """Pixels that two rectangles share."""
    width, height = (min(one[axis + 2], other[axis + 2]) - max(one[axis], other[axis]) for axis in (0, 1))
    return max(width, 0) * max(height, 0)
