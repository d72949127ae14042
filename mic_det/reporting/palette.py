"""Colours of classes and of curves."""

from collections.abc import Sequence

# One per class, in the order of the classes. The first seven are the palette of Okabe and Ito; each further one is the colour of
# the RGB cube that is farthest from all before it for normal, protanope and deuteranope eyes alike (CIELAB).
CLASSES = (
    *("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#0072b2", "#d55e00", "#cc79a7", "#0000ff", "#87ffa5", "#6969ff"),
    *("#961e1e", "#4bffff", "#783c69", "#5af0c3", "#96b45a", "#691eb4", "#6996ff", "#96ff78", "#960f3c", "#c34b2d"),
)
# One per run or class of a figure, with a contrast of at least 3 to white and to the dark page.
CURVES = ("#6b7f94", "#2f80d0", "#d2691e", "#2a9163", "#9b62d6", "#cf4560", "#138d9e", "#a0792c")
MOST_IN_A_LEGEND = 60

LegendEntry = tuple[str, str]  # name of a class, CSS colour


def class_colour(index: int) -> str:
    """`#rrggbb` of a class; colours repeat after len(CLASSES)."""
    return CLASSES[index % len(CLASSES)]


def curve_colour(index: int) -> str:
    """`#rrggbb` of the curve or the bars of a run; colours repeat after len(CURVES)."""
    return CURVES[index % len(CURVES)]


def legend_of(names: Sequence[str], colours: Sequence[Sequence[int]] | None = None) -> list[LegendEntry]:
    """Names and colours for a picture's legend; none where the classes are too many to be looked up.

    Args:
        names: of the classes.
        colours: RGB triples in 0..255 of the classes; None for `class_colour`.
    """
    if len(names) > MOST_IN_A_LEGEND:
        return []
    if colours is None:
        return [(name, class_colour(index)) for index, name in enumerate(names)]
    return [(name, "#{:02x}{:02x}{:02x}".format(*colour)) for name, colour in zip(names, colours, strict=True)]


def text_on(colour: str) -> str:
    """Black or white, whichever has more contrast to `#rrggbb` (WCAG 2.2)."""
    return "#000000" if luminance(colour) > 0.179 else "#ffffff"


def luminance(colour: str) -> float:
    """Relative luminance of `#rrggbb` in 0..1 (WCAG 2.2)."""
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
