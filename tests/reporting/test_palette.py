import numpy as np
import pytest

from mic_det.reporting.palette import CLASSES, CURVES, class_colour, legend_of, luminance, text_on

# Linear RGB as protanopes and deuteranopes see it: Machado, Oliveira and Fernandes, IEEE TVCG 2009, severity 1.
EYES = {
    "normal": np.eye(3),
    "protanope": np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]),
    "deuteranope": np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]),
}


def lab(colours, eye):
    """CIELAB under D65 of `#rrggbb`."""
    values = np.array([[int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)] for colour in colours])
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    linear = np.clip(linear @ EYES[eye].T, 0, 1)
    matrix = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x, y, z = np.cbrt(np.maximum(linear @ matrix.T / [0.9505, 1, 1.089], 1e-4)).T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)


@pytest.mark.parametrize("eye", EYES)
def test_every_two_classes_differ_for_every_eye(eye):
    colours = lab(CLASSES, eye)
    distances = np.linalg.norm(colours[:, None] - colours[None], axis=2) + 1000 * np.eye(len(colours))
    assert distances.min() > 12 and len(set(CLASSES)) == len(CLASSES) == 20


def test_curves_are_seen_on_either_page():
    for page in ("#ffffff", "#11161c"):
        for colour in CURVES:
            dark, light = sorted((luminance(page), luminance(colour)))
            assert (light + 0.05) / (dark + 0.05) >= 3, (page, colour)


def test_text_has_contrast_on_every_class():
    for colour in CLASSES:
        dark, light = sorted((luminance(colour), luminance(text_on(colour))))
        assert (light + 0.05) / (dark + 0.05) >= 4.5


def test_a_class_keeps_its_colour():
    assert class_colour(3) == class_colour(3) == CLASSES[3] and class_colour(23) == class_colour(3)


def test_legends():
    assert legend_of(["car"]) == [("car", CLASSES[0])]
    assert legend_of(["road", "sky"], [(128, 64, 128), (70, 130, 180)]) == [("road", "#804080"), ("sky", "#4682b4")]
    assert legend_of([str(number) for number in range(1000)]) == []
