import numpy as np
import pytest
from PIL import Image, ImageDraw

from mic_det.reporting.labels import common_area, draw_label, font, shortened

BOXES = [(0, 0, 10, 10), (300, 100, 320, 160), (-5, 150, 20, 170), (100, 80, 180, 120), (0, 0, 320, 160)]


def canvas(width=320, height=160):
    picture = Image.new("RGB", (width, height), "#808080")
    return picture, ImageDraw.Draw(picture)


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize(
    "text", ["car", "motorcycle missed 0.87", "a name far too long for any picture " * 3, "Fußgänger, пешеход"]
)
def test_labels_lie_in_the_picture(box, text):
    picture, draw = canvas()
    left, top, right, bottom = draw_label(draw, text, box, "#0072b2", 18)
    assert 0 <= left < right <= 320 and 0 <= top < bottom <= 160
    pixels = np.array(picture)
    outside = np.ones((160, 320), dtype=bool)
    outside[int(top) : int(bottom) + 1, int(left) : int(right) + 1] = False
    assert (pixels[outside] == 128).all() and (pixels[~outside] != 128).any()


def test_text_is_lighter_or_darker_than_its_ground():
    picture, draw = canvas()
    left, top, right, bottom = (int(value) for value in draw_label(draw, "car", (100, 80, 180, 120), "#f0e442", 18))
    ground = np.array(picture)[top + 1 : bottom, left + 1 : right].reshape(-1, 3)
    assert (ground == [0xF0, 0xE4, 0x42]).all(axis=1).mean() > 0.3 and (ground.sum(axis=1) < 100).any()


def test_neighbours_do_not_hide_each_other():
    _, draw = canvas()
    box, taken = (100, 60, 180, 120), []
    for name in ("car", "bus", "truck"):
        taken.append(draw_label(draw, name, box, "#0072b2", 14, taken))
    pairs = [(0, 1), (0, 2), (1, 2)]
    assert [common_area(taken[one], taken[other]) for one, other in pairs] == [0, 0, 0]


def test_a_tiny_picture_takes_a_label():
    _, draw = canvas(12, 8)
    left, top, right, bottom = draw_label(draw, "motorcycle", (2, 2, 6, 6), "#0072b2", 14)
    assert 0 <= left < right <= 12 and 0 <= top < bottom <= 8


def test_shortening():
    assert shortened("car", 14, 200) == "car"
    cut = shortened("motorcycle", 14, 50)
    assert cut.endswith("…") and cut.startswith("mo") and font(14).getlength(cut) <= 50


def test_common_area():
    assert common_area((0, 0, 4, 4), (2, 1, 9, 3)) == 4 and common_area((0, 0, 4, 4), (5, 0, 6, 4)) == 0
