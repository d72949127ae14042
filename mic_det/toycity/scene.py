"""What stands in a scene: the street, its buildings and the road users, in metres, drawn from one seeded generator."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np

# Mean number of road users per image and class. The order of magnitude follows Cityscapes; the four rare classes are
# several times as frequent as there, so that a few hundred images hold enough of them to learn from.
FREQUENCY = {"car": 2.4, "person": 1.8, "rider": 1.0, "bicycle": 0.7, "truck": 0.5, "bus": 0.5, "train": 0.3, "motorcycle": 0.6}
NEAREST, FARTHEST = 5.0, 24.0

CAR_COLOURS = ((196, 200, 204), (40, 42, 48), (120, 124, 130), (150, 30, 34), (36, 62, 118), (228, 228, 222), (84, 92, 70))
# Strong colours: a plain grey box would look like a piece of fog.
CARGO_COLOURS = ((206, 92, 38), (52, 118, 66), (40, 76, 156), (172, 48, 52), (214, 168, 44))
CLOTHES = ((44, 52, 92), (128, 36, 40), (60, 60, 64), (168, 150, 110), (30, 92, 80), (190, 190, 196), (98, 60, 120))
SKIN = ((224, 182, 150), (166, 118, 86), (98, 66, 48))
FACADES = ((172, 150, 128), (150, 120, 104), (188, 178, 160), (140, 142, 148), (166, 110, 88), (122, 110, 100), (198, 190, 176))
WALL_COLOURS = ((158, 146, 130), (140, 92, 76), (176, 172, 164))
FENCE_COLOURS = ((96, 78, 58), (64, 68, 72), (188, 184, 176))
BARRIER_STREAM = 4

T = TypeVar("T")
Colour = tuple[int, ...]  # RGB
Furniture = tuple[str, float, float, float]  # kind, x, z, size


@dataclass(frozen=True)
class RoadUser:
    """One object standing on the ground at (x, z) metres right of and ahead of the camera."""

    kind: str
    x: float
    z: float
    side_on: bool  # seen from the side, otherwise from the front or the back
    facing: int  # -1 or 1: mirrors side views; 1 shows a vehicle's back, -1 its front
    size: float  # factor on the class's nominal size
    colour: Colour
    second_colour: Colour
    skin: Colour = SKIN[0]
    mount: str | None = None  # what a rider rides: bicycle or motorcycle


@dataclass(frozen=True)
class Wall:
    """One side of the street: consecutive facades and gaps along z, `edges[i]` to `edges[i + 1]` metres."""

    distance: float  # of the building line from the camera's axis
    edges: np.ndarray
    heights: np.ndarray  # 0 is a gap
    colours: np.ndarray  # Nx3
    windows: np.ndarray  # Nx2: window pitch along z and floor height

    def segment(self, z: np.ndarray) -> np.ndarray:
        """Index of the facade or gap at distance `z` (array of metres)."""
        return np.minimum(np.searchsorted(self.edges, z), len(self.heights) - 1)


@dataclass(frozen=True)
class Barrier:
    """A wall or fence along the street, from `near` to `far` metres ahead at `x` metres right of the camera."""

    kind: str
    x: float
    near: float
    far: float
    height: float
    colour: Colour

    def pieces(self, length: float = 2.0) -> list["Barrier"]:
        """The same barrier in parts of at most `length` metres."""
        starts = np.arange(self.near, self.far, length)
        return [replace(self, near=float(start), far=float(min(start + length, self.far))) for start in starts]


@dataclass(frozen=True)
class Scene:
    """A street with all that stands in it; lengths in metres, colours RGB in 0..255."""

    seed: tuple[int, ...]
    camera_height: float
    focal: float  # in image widths
    horizon: float  # in image heights
    centre: float  # in image widths
    road_half_width: float
    has_tracks: bool
    light: np.ndarray  # factor per RGB channel
    airlight: np.ndarray
    sky: np.ndarray
    far_height: float
    walls: tuple[Wall, Wall]
    furniture: list[Furniture] = field(default_factory=list)
    barriers: list[Barrier] = field(default_factory=list)  # walls and fences along the street
    road_users: list[RoadUser] = field(default_factory=list)


def pick(rng: np.random.Generator, options: Sequence[T]) -> T:
    """One of the options, all equally likely."""
    return options[int(rng.integers(len(options)))]


def sample_wall(rng: np.random.Generator, road_half_width: float) -> Wall:
    """One side of a street whose road is as wide, with gaps among the facades."""
    widths = rng.uniform(7, 20, size=24)
    heights = rng.uniform(6, 19, size=24) * (rng.random(24) > 0.18)
    colours = np.array(FACADES)[rng.integers(len(FACADES), size=24)] * rng.uniform(0.8, 1.15, (24, 1))
    windows = np.stack([rng.uniform(1.8, 3.6, 24), rng.uniform(2.7, 3.6, 24)], axis=1)
    arrays = (array.astype(np.float32) for array in (np.cumsum(widths), heights, colours, windows))
    return Wall(road_half_width + rng.uniform(2.5, 5.0), *arrays)


def sample_depth(rng: np.random.Generator) -> float:
    """Log-uniform, which spreads apparent sizes evenly."""
    return float(np.exp(rng.uniform(np.log(NEAREST), np.log(FARTHEST))))


def sample_road_user(rng: np.random.Generator, kind: str, road: float) -> RoadUser:
    """A road user of a class on, or beside, a road with `road` metres to either side of its middle."""
    z = sample_depth(rng)
    side_on = rng.random() < {"person": 0.5, "rider": 0.6, "bicycle": 0.7, "motorcycle": 0.6, "train": 0.0}.get(kind, 0.22)
    facing = int(pick(rng, (-1, 1)))
    lane = road * rng.uniform(0.3, 0.62)
    if kind == "person":
        x = pick(rng, (-1, 1)) * rng.uniform(0.75 * road, road + 2.4) if rng.random() < 0.8 else rng.uniform(-road, road)
    elif kind in ("bicycle", "motorcycle"):
        x = pick(rng, (-1, 1)) * rng.uniform(0.8 * road, road + 2.0)
    elif kind == "train":
        x, z = -facing * rng.uniform(0.35, 0.5) * road, max(z, 12.0)
    elif kind == "car" and rng.random() < 0.4:  # parked at the kerb
        x, side_on = pick(rng, (-1, 1)) * (road - 1.0), False
    else:
        x = facing * lane + rng.normal(0, 0.3)
    if kind in ("truck", "bus"):
        z = max(z, 10.0)
    return RoadUser(
        kind=kind,
        x=float(x),
        z=z,
        side_on=bool(side_on),
        facing=facing,
        size=float(np.clip(rng.normal(1.0, 0.07), 0.8, 1.2)),
        colour=pick(rng, {"person": CLOTHES, "rider": CLOTHES, "truck": CARGO_COLOURS}.get(kind, CAR_COLOURS)),
        second_colour=pick(rng, CLOTHES),
        skin=pick(rng, SKIN),
        mount=("bicycle" if rng.random() < 0.75 else "motorcycle") if kind == "rider" else None,
    )


def sample_road_users(rng: np.random.Generator, road: float, has_tracks: bool) -> list[RoadUser]:
    """As many road users of every class as FREQUENCY has on average, and sometimes a group."""
    users = []
    for kind, mean in FREQUENCY.items():
        if kind == "train":
            count = int(has_tracks and rng.random() < 0.75)
        else:
            count = min(int(rng.poisson(mean)), 12)
        users += [sample_road_user(rng, kind, road) for _ in range(count)]
    for _ in range(int(rng.random() < 0.15)):  # a distant group that nobody could separate
        x, z = rng.choice([-1, 1]) * (road + 1.2), rng.uniform(35, 60)
        for step in range(4):
            user = sample_road_user(rng, "person", road)
            users.append(RoadUser(**{**vars(user), "kind": "group", "x": float(x + 0.35 * step), "z": float(z)}))
    return users


def sample_furniture(rng: np.random.Generator, road: float) -> list[Furniture]:
    """Poles, traffic lights, signs and trees along the kerb."""
    kinds = ("pole", "pole", "sign", "light", "tree", "tree", "tree")
    return [
        (
            pick(rng, kinds),
            float(pick(rng, (-1, 1)) * (road + rng.uniform(0.4, 2.0))),
            sample_depth(rng) + 3,
            rng.uniform(0.8, 1.3),
        )
        for _ in range(rng.integers(3, 9))
    ]


def sample_barriers(rng: np.random.Generator, road: float) -> list[Barrier]:
    """Up to two runs of garden wall or fence between pavement and buildings on either side."""
    barriers = []
    for side in (-1, 1):
        near = rng.uniform(8.0, 16.0)  # nearer ones lie outside the view
        for _ in range(rng.integers(0, 3)):
            far = near + rng.uniform(8.0, 18.0)
            kind = pick(rng, ("wall", "fence"))
            height = rng.uniform(1.1, 1.9) if kind == "wall" else rng.uniform(0.9, 1.3)
            colours = WALL_COLOURS if kind == "wall" else FENCE_COLOURS
            barriers.append(Barrier(kind, side * (road + 2.3), near, far, height, pick(rng, colours)))
            near = far + rng.uniform(2.0, 6.0)
    return barriers


def sample_scene(seed: Sequence[int], barriers: bool = False) -> Scene:
    """Draw a scene. `seed` is a tuple of non-negative integers; equal seeds give equal scenes.

    With `barriers`, walls and fences are added to what the scene has without, from a generator of their own.
    """
    rng = np.random.default_rng(seed)
    road = rng.uniform(3.6, 6.2)
    has_tracks = bool(rng.random() < FREQUENCY["train"] / 0.75)
    return Scene(
        seed=tuple(seed),
        camera_height=rng.uniform(1.3, 1.9),
        focal=rng.uniform(1.05, 1.25),
        horizon=rng.uniform(0.38, 0.46),
        centre=rng.uniform(0.42, 0.58),
        road_half_width=road,
        has_tracks=has_tracks,
        light=(rng.uniform(0.75, 1.1) * np.array([1.0, rng.uniform(0.97, 1.02), rng.uniform(0.92, 1.05)])).astype(np.float32),
        airlight=np.full(3, rng.uniform(190, 225), dtype=np.float32) + rng.uniform(-4, 4, 3).astype(np.float32),
        sky=np.array([rng.uniform(130, 200), rng.uniform(165, 210), rng.uniform(200, 235)], dtype=np.float32),
        far_height=rng.uniform(5, 14),
        walls=(sample_wall(rng, road), sample_wall(rng, road)),
        furniture=sample_furniture(rng, road),
        road_users=sample_road_users(rng, road, has_tracks),
        barriers=sample_barriers(np.random.default_rng((*seed, BARRIER_STREAM)), road) if barriers else [],
    )
