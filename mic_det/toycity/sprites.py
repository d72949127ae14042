"""Road users and street furniture as coloured polygons.

A part is `(points, colour)`: an Nx3 array of metres (right, up, away) from the point where the object touches the ground,
listed from back to front. Whoever renders projects and fills them.
"""

from collections.abc import Iterator, Sequence
from functools import cache

import numpy as np

from .scene import Barrier, Colour, RoadUser

Part = tuple[np.ndarray, Colour]
Layer = tuple[str, list[Part]]  # with the class's name
GLASS, TYRE, METAL = (44, 56, 68), (26, 26, 28), (112, 114, 118)
CHEVRON, SIGN = (226, 96, 40), (250, 190, 40)
RED_LAMP, WHITE_LAMP, PLATE = (206, 38, 34), (240, 238, 214), (222, 220, 200)


def flat(points: Sequence[Sequence[float]] | np.ndarray, away: float = 0.0) -> np.ndarray:
    """Points (right, up) as Nx3, all `away` metres behind the object's foot."""
    points = np.asarray(points, dtype=np.float32)
    return np.column_stack([points, np.full(len(points), away, dtype=np.float32)])


def box(left: float, bottom: float, right: float, top: float, away: float = 0.0) -> np.ndarray:
    """An upright rectangle."""
    return flat([(left, bottom), (right, bottom), (right, top), (left, top)], away)


@cache
def circle(x: float, y: float, radius: float, sides: int = 10) -> np.ndarray:
    """A regular polygon about (x, y)."""
    angles = np.linspace(0, 2 * np.pi, sides, endpoint=False)
    return flat(np.column_stack([x + radius * np.cos(angles), y + radius * np.sin(angles)]))


def ring(x: float, y: float, radius: float, width: float = 0.06) -> list[np.ndarray]:
    """A wheel's tyre as short quads, so that what lies behind the wheel shows through it."""
    outer, inner = circle(x, y, radius), circle(x, y, radius - width)
    return [np.stack([outer[i - 1], outer[i], inner[i], inner[i - 1]]) for i in range(len(outer))]


def bar(x0: float, y0: float, x1: float, y1: float, width: float = 0.06) -> np.ndarray:
    """A line of some width from one point to another."""
    along = np.array([x1 - x0, y1 - y0])
    across = np.array([-along[1], along[0]]) / (np.linalg.norm(along) + 1e-6) * width / 2
    start, end = np.array([x0, y0]), np.array([x1, y1])
    return flat([start - across, end - across, end + across, start + across])


def shade(colour: Colour, factor: float) -> Colour:
    """The colour made darker, or lighter by a factor above 1."""
    return tuple(min(int(c * factor), 255) for c in colour)


def vehicle_end(user: RoadUser, width: float, height: float, cabin: float) -> Iterator[Part]:
    """Front or back view of a boxy vehicle; `cabin` is the height at which the windows begin."""
    half, lamp = width / 2, RED_LAMP if user.facing > 0 else WHITE_LAMP
    roof = 0.78 if user.kind == "car" else 0.97
    yield box(-half * 0.92, 0.0, -half * 0.6, 0.35), TYRE
    yield box(half * 0.6, 0.0, half * 0.92, 0.35), TYRE
    yield box(-half, 0.22, half, cabin), user.colour
    yield flat([(-half, cabin), (half, cabin), (half * roof, height), (-half * roof, height)]), user.colour
    if user.kind == "truck" and user.facing > 0:
        yield box(-0.04, 0.9, 0.04, height - 0.1), shade(user.colour, 0.6)
    else:
        glass = 0.9 * roof
        yield (
            flat(
                [
                    (-half * 0.9, cabin + 0.05),
                    (half * 0.9, cabin + 0.05),
                    (half * glass, height - 0.12),
                    (-half * glass, height - 0.12),
                ]
            ),
            GLASS,
        )
    yield box(-half * 0.95, cabin - 0.28, -half * 0.68, cabin - 0.1), lamp
    yield box(half * 0.68, cabin - 0.28, half * 0.95, cabin - 0.1), lamp
    yield box(-0.26, 0.42, 0.26, 0.54), PLATE
    yield box(-half, 0.22, half, 0.34), shade(user.colour, 0.55)
    if user.kind == "truck":
        for left in np.linspace(-half, half, 6)[:-1:2]:
            yield box(left, 0.6, left + half / 3, 0.85), CHEVRON
    if user.kind == "bus":
        yield box(-half * 0.6, height - 0.45, half * 0.6, height - 0.12), SIGN


def vehicle_depth(user: RoadUser, width: float, height: float, cabin: float, length: float) -> Iterator[Part]:
    """A vehicle seen along its axis: the side that faces the camera's axis, then the near end."""
    near = -np.sign(user.x or 1) * width / 2
    roof = near * (0.78 if user.kind == "car" else 0.97)

    def side(bottom: float, top: float, x0: float, x1: float, start: float = 0.0, end: float = 1.0) -> np.ndarray:
        return np.array(
            [(x0, bottom, start * length), (x0, bottom, end * length), (x1, top, end * length), (x1, top, start * length)],
            np.float32,
        )

    yield side(0.25, cabin, near, near), shade(user.colour, 0.7)
    yield side(cabin, height, near, roof), shade(user.colour, 0.62)
    if user.kind == "truck":
        for start in np.arange(0.05, 1.0, 0.18):
            yield side(cabin, height, near, roof, start, start + 0.03), shade(user.colour, 0.4)
    else:
        for start in np.arange(0.05, 0.95, 0.3 if user.kind == "car" else 0.12):
            yield side(cabin + 0.05, height - 0.15, near, roof, start, start + (0.24 if user.kind == "car" else 0.09)), GLASS
    for start in (0.12, 0.72):
        yield side(0.0, 0.6, near, near, start, start + 0.14), TYRE
    yield from vehicle_end(user, width, height, cabin)


def car_side(user: RoadUser) -> Iterator[Part]:
    """A car seen from the side."""
    m = user.facing
    for x in (-1.3, 1.3):
        yield circle(x, 0.32, 0.33), TYRE
        yield circle(x, 0.32, 0.17), METAL
    yield flat([(-2.1, 0.28), (2.1, 0.28), (2.15, 0.75), (2.0 * m if m > 0 else 2.05, 0.92), (-2.05, 0.95)]), user.colour
    yield flat([(-1.75 * m, 0.92), (1.15 * m, 0.92), (0.55 * m, 1.46), (-1.25 * m, 1.46)]), user.colour
    yield flat([(-1.55 * m, 0.95), (-0.35 * m, 0.95), (-0.35 * m, 1.38), (-1.2 * m, 1.38)]), GLASS
    yield flat([(-0.25 * m, 0.95), (0.95 * m, 0.95), (0.48 * m, 1.38), (-0.25 * m, 1.38)]), GLASS
    yield box(2.0 * m - 0.08, 0.6, 2.0 * m + 0.08, 0.75), WHITE_LAMP
    yield box(-2.05 * m - 0.06, 0.62, -2.05 * m + 0.06, 0.8), RED_LAMP


def truck_side(user: RoadUser) -> Iterator[Part]:
    """A lorry seen from the side."""
    m = user.facing
    for x in (-2.9, -1.9, 2.7):
        yield circle(x, 0.48, 0.5), TYRE
        yield circle(x, 0.48, 0.22), METAL
    yield box(-3.9, 0.55, 3.9, 0.8), shade(METAL, 0.6)
    yield flat([(-3.9 * m, 0.8), (1.9 * m, 0.8), (1.9 * m, 3.4), (-3.9 * m, 3.4)]), user.colour
    for x in np.arange(-3.7, 1.8, 0.9):
        yield box(x * m - 0.05, 0.85, x * m + 0.05, 3.35), shade(user.colour, 0.6)
    yield flat([(-3.4 * m, 1.7), (1.4 * m, 1.7), (1.4 * m, 2.3), (-3.4 * m, 2.3)]), PLATE
    yield flat([(2.1 * m, 0.6), (3.9 * m, 0.6), (3.75 * m, 2.7), (2.1 * m, 2.7)]), user.second_colour
    yield flat([(2.6 * m, 1.6), (3.8 * m, 1.6), (3.7 * m, 2.45), (2.6 * m, 2.45)]), GLASS


def coach_side(user: RoadUser, length: float, height: float) -> Iterator[Part]:
    """A bus seen from the side."""
    half = length / 2
    for x in (-0.62 * half, 0.6 * half):
        yield circle(float(x), 0.48, 0.5), TYRE
    yield box(-half, 0.32, half, height), user.colour
    yield box(-half, 0.32, half, 0.8), shade(user.colour, 0.7)
    for x in np.arange(-half + 0.3, half - 1.0, 1.5):
        yield box(x, 1.35, x + 1.25, height - 0.6), GLASS
    yield box(-half * 0.3, height - 0.45, half * 0.3, height - 0.12), SIGN


def bicycle(user: RoadUser, side_on: bool) -> Iterator[Part]:
    """A bicycle from the side or from its end."""
    if not side_on:
        yield bar(0, 0.0, 0, 0.66, 0.1), TYRE
        yield bar(0, 0.6, 0, 1.0, 0.08), user.second_colour
        yield bar(-0.28, 1.02, 0.28, 1.02, 0.07), METAL
        return
    m = user.facing
    for x in (-0.53, 0.53):
        yield from ((quad, TYRE) for quad in ring(x, 0.35, 0.35, 0.07))
    for line in (
        (-0.53, 0.35, -0.1, 0.3),
        (-0.1, 0.3, 0.4, 0.8),
        (-0.22, 0.85, -0.1, 0.3),
        (-0.2, 0.78, 0.38, 0.82),
        (0.53, 0.35, 0.36, 1.0),
    ):
        yield bar(m * line[0], line[1], m * line[2], line[3], 0.07), user.second_colour
    yield bar(m * 0.25, 1.02, m * 0.42, 1.0, 0.07), METAL
    yield bar(-m * 0.36, 0.9, -m * 0.1, 0.9, 0.09), TYRE


def motorcycle(user: RoadUser, side_on: bool) -> Iterator[Part]:
    """A motorcycle from the side or from its end."""
    if not side_on:
        yield bar(0, 0.0, 0, 0.62, 0.2), TYRE
        yield flat([(-0.22, 0.35), (0.22, 0.35), (0.26, 0.95), (-0.26, 0.95)]), user.second_colour
        yield bar(-0.4, 1.05, 0.4, 1.05, 0.08), METAL
        yield circle(0.0, 0.85, 0.1), RED_LAMP if user.facing > 0 else WHITE_LAMP
        return
    m = user.facing
    for x in (-0.7, 0.7):
        yield circle(x, 0.32, 0.32), TYRE
        yield circle(x, 0.32, 0.16), METAL
    yield (
        flat([(-0.75 * m, 0.5), (0.4 * m, 0.35), (0.55 * m, 0.9), (0.1 * m, 0.95), (-0.2 * m, 0.75), (-0.8 * m, 0.8)]),
        user.second_colour,
    )
    yield bar(0.68 * m, 0.32, 0.42 * m, 1.1, 0.1), METAL
    yield bar(-0.6 * m, 0.82, 0.0, 0.8, 0.12), TYRE


def pedestrian(user: RoadUser) -> Iterator[Part]:
    """A person on foot; the stride tells the side from the front."""
    trousers, m = user.second_colour, user.facing
    stride = 0.22 if user.side_on else 0.1
    yield flat([(-0.1, 0.85), (0.06, 0.85), (-stride + 0.06, 0.0), (-stride - 0.08, 0.0)]), shade(trousers, 0.8)
    yield flat([(-0.06, 0.85), (0.1, 0.85), (stride + 0.08, 0.0), (stride - 0.06, 0.0)]), trousers
    half = 0.17 if user.side_on else 0.24
    yield flat([(-half * 0.8, 0.8), (half * 0.8, 0.8), (half, 1.42), (-half, 1.42)]), user.colour
    yield bar(-half * m, 1.38, -(half + 0.06) * m, 0.85, 0.1), shade(user.colour, 0.85)
    yield circle(0.0, 1.58, 0.13), user.skin
    yield flat([(-0.13, 1.6), (0.13, 1.6), (0.1, 1.74), (-0.1, 1.74)]), (46, 36, 30)


def mounted(user: RoadUser) -> Iterator[Part]:
    """The human part of a rider: the body of a pedestrian, bent over a two-wheeler."""
    m, lift = user.facing, 0.0 if user.mount == "bicycle" else -0.08
    if user.side_on:
        yield bar(-0.18 * m, 0.92 + lift, 0.18 * m, 0.72 + lift, 0.16), user.second_colour
        yield bar(0.18 * m, 0.72 + lift, 0.02 * m, 0.28, 0.13), user.second_colour
        yield (
            flat([(-0.32 * m, 0.88 + lift), (-0.02 * m, 0.86 + lift), (0.24 * m, 1.4 + lift), (-0.02 * m, 1.45 + lift)]),
            user.colour,
        )
        yield bar(0.1 * m, 1.32 + lift, 0.38 * m, 1.02, 0.09), shade(user.colour, 0.85)
        yield circle(0.2, 1.58, 0.14) if m > 0 else circle(-0.2, 1.58, 0.14), user.skin
    else:
        yield bar(-0.14, 0.9, -0.16, 0.3, 0.14), user.second_colour
        yield bar(0.14, 0.9, 0.16, 0.3, 0.14), user.second_colour
        yield flat([(-0.17, 0.8), (0.17, 0.8), (0.24, 1.42), (-0.24, 1.42)]), user.colour
        yield circle(0.0, 1.58, 0.13), user.skin
    x = 0.2 * m if user.side_on else 0.0
    helmet = user.colour if user.mount == "motorcycle" else (46, 36, 30)
    yield flat([(x - 0.14, 1.6), (x + 0.14, 1.6), (x + 0.1, 1.75), (x - 0.1, 1.75)]), helmet


def barrier_parts(barrier: Barrier) -> list[Layer]:
    """(class name, parts) layers of a wall or fence, relative to its near end."""
    length = barrier.far - barrier.near

    def side(bottom: float, top: float, start: float, end: float) -> np.ndarray:
        return np.array([(0, bottom, start), (0, bottom, end), (0, top, end), (0, top, start)], np.float32)

    if barrier.kind == "wall":
        parts = [(side(0.0, barrier.height, 0.0, length), barrier.colour)]
        parts.append((side(barrier.height - 0.12, barrier.height, 0.0, length), shade(barrier.colour, 1.15)))
        rows = np.arange(0.25, barrier.height - 0.15, 0.25)
        parts += [(side(row, row + 0.03, 0.0, length), shade(barrier.colour, 0.8)) for row in rows]
    else:
        parts = [(side(level, level + 0.08, 0.0, length), barrier.colour) for level in (0.2, barrier.height - 0.15)]
        parts += [(side(0.0, barrier.height, start, start + 0.22), barrier.colour) for start in np.arange(0.0, length, 0.4)]
    return [(barrier.kind, parts)]


def road_user_parts(user: RoadUser) -> list[Layer]:
    """The layers of one road user, back to front: a list of (class name, parts). Riders come with what they ride."""
    if user.kind == "rider":
        mount = user.mount or "bicycle"
        layers = [(mount, (bicycle if mount == "bicycle" else motorcycle)(user, user.side_on)), ("rider", mounted(user))]
    elif user.kind in ("person", "group"):
        layers = [(user.kind, pedestrian(user))]
    elif user.kind in ("bicycle", "motorcycle"):
        layers = [(user.kind, (bicycle if user.kind == "bicycle" else motorcycle)(user, user.side_on))]
    elif user.kind == "car":
        layers = [("car", car_side(user) if user.side_on else vehicle_depth(user, 1.8, 1.48, 0.92, 3.8))]
    elif user.kind == "truck":
        layers = [("truck", truck_side(user) if user.side_on else vehicle_depth(user, 2.45, 3.4, 1.5, 7.0))]
    elif user.kind == "bus":
        layers = [("bus", coach_side(user, 10.5, 3.0) if user.side_on else vehicle_depth(user, 2.5, 3.0, 1.3, 10.0))]
    else:
        layers = [("train", tram(user))]
    return [(name, [(points * np.float32(user.size), colour) for points, colour in parts]) for name, parts in layers]


def tram(user: RoadUser) -> Iterator[Part]:
    """A tram, always seen along its axis, with its pantograph."""
    yield from vehicle_depth(user, 2.5, 3.5, 1.2, 26.0)
    yield box(-1.25, 3.0, 1.25, 3.4), user.second_colour
    yield box(-0.7, 3.08, 0.7, 3.32), (240, 190, 60)
    yield bar(-0.5, 3.5, 0.0, 4.2, 0.07), METAL
    yield bar(0.0, 4.2, 0.5, 3.5, 0.07), METAL


def furniture_parts(kind: str, size: float, rng: np.random.Generator) -> list[Layer]:
    """(class name, parts) layers of a pole, traffic light, traffic sign or tree."""
    if kind == "tree":
        crown = [
            (circle(float(x), float(y), float(r)), tuple(int(c) for c in colour))
            for x, y, r, colour in zip(
                rng.uniform(-0.9, 0.9, 7),
                rng.uniform(3.0, 5.2, 7),
                rng.uniform(0.7, 1.3, 7),
                rng.uniform(0.8, 1.2, (7, 1)) * (58, 92, 46),
                strict=True,
            )
        ]
        layers = [("vegetation", [(bar(0, 0, 0, 3.2, 0.25), (74, 58, 44)), *crown])]
    else:
        layers = [("pole", [(bar(0, 0, 0, 3.2, 0.11), METAL)])]
        if kind == "sign":
            face = [(196, 44, 40), (40, 84, 170), (230, 200, 60)][rng.integers(3)]
            layers.append(("sign", [(circle(0.0, 2.9, 0.36, 8), face), (circle(0.0, 2.9, 0.22, 8), (236, 236, 230))]))
        if kind == "light":
            lamp = [((214, 44, 40), 3.05), ((240, 180, 40), 2.8), ((60, 190, 90), 2.55)][rng.integers(3)]
            layers.append(("light", [(box(-0.17, 2.35, 0.17, 3.25), (32, 34, 36)), (circle(0.0, lamp[1], 0.1), lamp[0])]))
    return [(name, [(points * np.float32(size), colour) for points, colour in parts]) for name, parts in layers]
