"""The street itself by ray casting: every pixel is sky, ground or one of two building lines, with exact depth."""

import cv2
import numpy as np

from . import ids
from .scene import Scene, Wall

FAR = 130.0  # metres: where the street ends in a line of trees
SKY_DEPTH = 1000.0
ROAD, TRACK, MARKING = (92, 92, 96), (70, 64, 60), (214, 214, 208)
SIDEWALK, TERRAIN, TREES = (150, 140, 138), (104, 122, 74), (62, 86, 48)


def smooth_noise(rng: np.random.Generator, height: int, width: int, cells: int = 64) -> np.ndarray:
    """Noise with about `cells` blobs per image width, so that its grain scales with the image; mean 0, std near 1."""
    grid = rng.standard_normal((max(cells * height // width, 2), cells), dtype=np.float32)
    return cv2.resize(grid, (width, height), interpolation=cv2.INTER_LINEAR)


def paint_ground(scene: Scene, x: np.ndarray, z: np.ndarray, image: np.ndarray, labels: np.ndarray, where: np.ndarray) -> None:
    """Road with lane markings, kerb-side pavement and, beyond it, grass; `x`, `z` are the ground's metric coordinates."""
    side = np.abs(x)
    road = scene.road_half_width
    kinds = np.where(side < road, 0, np.where(side < road + 2.6, 1, 2))
    label = np.array([ids.ROAD, ids.SIDEWALK, ids.TERRAIN], dtype=np.uint8)[kinds]
    colour = np.array([ROAD, SIDEWALK, TERRAIN], dtype=np.float32)[kinds]
    # A line narrower than a pixel must fade, not flicker.
    wide = 0.07 + 0.0006 * z
    dashes = (side < wide) & (z % 7.0 < 3.5)
    edges = np.abs(side - (road - 2.1)) < wide
    colour[(dashes | (edges & (z % 14 < 12))) & (z < 70)] = MARKING
    if scene.has_tracks:
        colour[(np.abs(side - 0.45 * road) < 0.75) & (np.abs(np.abs(side - 0.45 * road) - 0.7) < wide)] = TRACK
    tiles = (kinds == 1) & (((z % 1.6) < 0.12) | ((side - road) < 0.16)) & (z < 30)
    colour[tiles] *= 0.82
    image[where], labels[where] = colour, label


def paint_wall(
    wall: Wall, z: np.ndarray, elevation: np.ndarray, image: np.ndarray, labels: np.ndarray, where: np.ndarray
) -> None:
    """Facades with windows; a gap in the building line is filled by trees."""
    index = wall.segment(z)
    gap = wall.heights[index] == 0
    colour = wall.colours[index].astype(np.float32)
    pitch, floor = wall.windows[index, 0], wall.windows[index, 1]
    across, up = (z % pitch) / pitch, (elevation % floor) / floor
    window = (across > 0.28) & (across < 0.72) & (up > 0.3) & (up < 0.8) & (elevation > 0.6)
    colour[window] = colour[window] * 0.35 + np.array([18, 24, 34], dtype=np.float32)
    colour[(elevation < 0.5) | (across < 0.03)] *= 0.75
    colour[gap] = TREES
    image[where] = colour
    labels[where] = np.where(gap, ids.VEGETATION, ids.BUILDING)


def paint_background(scene: Scene, width: int, height: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (image HxWx3 float32 RGB in 0..255, Cityscapes label ids HxW uint8, depth HxW float32 in metres)."""
    rng = np.random.default_rng((*scene.seed, 1))
    focal, horizon, centre = scene.focal * width, scene.horizon * height, scene.centre * width
    rows = np.arange(height, dtype=np.float32)[:, None] + 0.5 - horizon
    columns = np.arange(width, dtype=np.float32)[None, :] + 0.5 - centre
    grain = smooth_noise(rng, height, width)

    image = np.empty((height, width, 3), dtype=np.float32)
    image[:] = scene.sky + np.clip(-rows / height, 0, 1)[..., None] * np.array([-60, -30, 0], dtype=np.float32)
    image += np.maximum(smooth_noise(rng, height, width, 8), 0)[..., None] * 14
    labels = np.full((height, width), ids.SKY, dtype=np.uint8)
    depth = np.full((height, width), SKY_DEPTH, dtype=np.float32)

    treeline = scene.camera_height - rows * FAR / focal < scene.far_height + 2.0 * smooth_noise(rng, 2, width, 32)[:1]
    image[treeline], labels[treeline], depth[treeline] = TREES, ids.VEGETATION, FAR

    ground_z = np.where(rows > 0, focal * scene.camera_height / np.maximum(rows, 1e-3), np.float32(np.inf))
    distance = np.where(columns < 0, *(np.float32(wall.distance) for wall in scene.walls))
    wall_z = focal * distance / np.maximum(np.abs(columns), 1e-3)
    ground_z, wall_z = np.broadcast_arrays(ground_z, wall_z)
    elevation = scene.camera_height - rows * wall_z / focal

    ground = (ground_z < wall_z) & (ground_z < FAR)
    x = (columns * ground_z / focal)[ground]
    paint_ground(scene, x, ground_z[ground], image, labels, ground)
    depth[ground] = ground_z[ground]
    left = np.broadcast_to(columns < 0, ground.shape)
    for wall, side in zip(scene.walls, (left, ~left), strict=True):
        top = wall.heights[wall.segment(wall_z[0])]
        top = np.where(top == 0, 4.5 + smooth_noise(rng, 2, width, 48)[0], top)
        where = side & ~ground & (wall_z < FAR) & (elevation >= 0) & (elevation < top)
        paint_wall(wall, wall_z[where], elevation[where], image, labels, where)
        depth[where] = wall_z[where]
    roughness = np.full(256, 0.06, dtype=np.float32)
    roughness[ids.SKY], roughness[ids.VEGETATION] = 0, 0.25
    image *= (1 + roughness[labels] * grain)[..., None]
    return image, labels, depth
