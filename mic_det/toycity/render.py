"""Scene -> image, label ids, instance ids and depth, by painting objects from far to near over the ray-cast street."""

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from . import ids
from .background import paint_background
from .scene import RoadUser, Scene
from .sprites import Layer, Part, barrier_parts, furniture_parts, road_user_parts
from .style import stylise

STYLE_STREAM = 5
SHIFT = 4  # fractional bits of OpenCV's polygon coordinates
# An object of which less is visible (pixels of a 256x128 image; share of its silhouette) joins its class's group region.
MIN_PIXELS, MIN_VISIBLE = 20, 0.12
STUFF = {
    "pole": ids.POLE,
    "sign": ids.SIGN,
    "light": ids.LIGHT,
    "vegetation": ids.VEGETATION,
    "wall": ids.WALL,
    "fence": ids.FENCE,
    "group": ids.INSTANCES["person"],
}

Entry = tuple[str, float]  # class name ("" for the background) and metres of a layer


@dataclass(frozen=True)
class Frame:
    """One rendered scene; all arrays are HxW(x3)."""

    image: np.ndarray  # uint8 RGB
    label_ids: np.ndarray  # uint8, Cityscapes label ids
    instance_ids: np.ndarray  # uint16: 1000 * label id + n for objects, the label id elsewhere and for groups
    depth: np.ndarray  # float32 metres
    airlight: np.ndarray  # the fog colour that suits the scene, RGB

    @property
    def label_train_ids(self) -> np.ndarray:
        """HxW uint8 of the 19 training classes, 255 where there is none."""
        return ids.TRAIN_IDS[self.label_ids]


class Canvas:
    """An image and, beside it, which layer covers each pixel (0 is the background)."""

    def __init__(self, scene: Scene, image: np.ndarray) -> None:
        self.image = image
        self.layers = np.zeros(image.shape[:2], dtype=np.int16)
        self.height, self.width = image.shape[:2]
        self.scene = scene
        self.areas = [0]

    def project(self, points: np.ndarray, x: float, z: float) -> np.ndarray:
        """Metres from (x, 0, z) to fixed-point pixels."""
        away = np.maximum(z + points[:, 2], 1.0)
        scale = self.scene.focal * self.width / away
        u = self.scene.centre * self.width + (x + points[:, 0]) * scale
        v = self.scene.horizon * self.height + (self.scene.camera_height - points[:, 1]) * scale
        return np.rint((np.stack([u, v], axis=1) - 0.5) * (1 << SHIFT)).astype(np.int32)

    def paint(self, parts: Iterable[Part], x: float, z: float, light: float) -> None:
        """Paint parts as a new layer and note how many pixels it covers before anything hides it."""
        layer = len(self.areas)
        points = self.project(np.concatenate([points for points, _ in parts]), x, z)
        ends = np.cumsum([len(points) for points, _ in parts])[:-1]
        for polygon, (_, colour) in zip(np.split(points, ends), parts, strict=True):
            cv2.fillPoly(self.image, [polygon], [light * c for c in colour], cv2.LINE_AA, SHIFT)
            cv2.fillPoly(self.layers, [polygon], layer, cv2.LINE_8, SHIFT)
        self.areas.append(int(np.count_nonzero(self.layers == layer)))

    def shadow(self, user: RoadUser) -> None:
        """Darken the ground below a road user, which belongs to no layer."""
        half = {"person": 0.35, "group": 0.35, "bicycle": 0.6, "rider": 0.6, "motorcycle": 0.6}.get(user.kind, 1.1)
        if user.side_on and half > 1:
            half = 2.2 if user.kind == "car" else 4.5
        angles = np.linspace(0, 2 * np.pi, 12, endpoint=False)
        disc = np.stack([half * np.cos(angles), np.zeros(12), 0.5 + 0.5 * np.sin(angles)], axis=1)
        polygon = self.project(disc, user.x, user.z)
        cv2.fillPoly(self.image, [polygon], (40, 40, 42), cv2.LINE_AA, SHIFT)


def paint_objects(scene: Scene, canvas: Canvas) -> list[Entry]:
    """Paint furniture and road users from far to near. Return a (class name, depth, object) entry per layer."""
    rng = np.random.default_rng((*scene.seed, 2))
    entries: list[Entry] = [("", 0.0)]
    # They stand behind everything else; in short pieces, each with its depth.
    for piece in sorted((piece for barrier in scene.barriers for piece in barrier.pieces()), key=lambda piece: -piece.near):
        for name, parts in barrier_parts(piece):
            canvas.paint(parts, piece.x, piece.near, 1.0 - 0.002 * piece.near)
            entries.append((name, piece.near))
    objects: list[tuple[float, float, list[Layer], RoadUser | None]]
    objects = [(z, x, furniture_parts(kind, size, rng), None) for kind, x, z, size in scene.furniture]
    objects += [(user.z, user.x, road_user_parts(user), user) for user in scene.road_users]
    for z, x, layers, user in sorted(objects, key=lambda item: -item[0]):
        # Things far away lose contrast in clear air too.
        light = 1.0 - 0.002 * z
        if user is not None:
            canvas.shadow(user)
        for name, parts in layers:
            canvas.paint(parts, x, z, light)
            entries.append((name, z))
    return entries


def label_layers(canvas: Canvas, entries: list[Entry]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Tables from layer to label id, instance id and depth."""
    visible = np.bincount(canvas.layers.ravel(), minlength=len(entries))
    enough = MIN_PIXELS * (canvas.width / 256) ** 2
    label_of = np.zeros(len(entries), dtype=np.uint8)
    instance_of = np.zeros(len(entries), dtype=np.uint16)
    depth_of = np.array([z for _, z in entries], dtype=np.float32)
    counts = dict.fromkeys(ids.INSTANCES, 0)
    # Number objects from near to far, so that the first ones are the large ones.
    for layer in range(len(entries) - 1, 0, -1):
        name = entries[layer][0]
        label_of[layer] = instance_of[layer] = ids.INSTANCES.get(name) or STUFF[name]
        if name in counts and visible[layer] >= max(enough, MIN_VISIBLE * canvas.areas[layer]):
            instance_of[layer] = 1000 * ids.INSTANCES[name] + counts[name]
            counts[name] += 1
    return label_of, instance_of, depth_of


def render(scene: Scene, width: int = 256, height: int = 128, synthetic: bool = False) -> Frame:
    """Render `scene` at any size; everything scales with the width. Deterministic: same scene and size, same bytes.

    With `synthetic`, the picture has another palette, textures and light, and no sensor noise.
    """
    image, labels, depth = paint_background(scene, width, height)
    canvas = Canvas(scene, image)
    entries = paint_objects(scene, canvas)
    label_of, instance_of, depth_of = label_layers(canvas, entries)
    covered = canvas.layers > 0
    layers = canvas.layers[covered]
    labels[covered] = label_of[layers]
    depth[covered] = depth_of[layers]
    instances = labels.astype(np.uint16)
    instances[covered] = instance_of[layers]
    if synthetic:
        image = stylise(image, labels, (*scene.seed, STYLE_STREAM)) * scene.light
        return Frame(np.clip(image, 0, 255).astype(np.uint8), labels, instances, depth, scene.airlight)
    noise = np.random.default_rng((*scene.seed, 3)).standard_normal((height, width), dtype=np.float32)
    image = image * scene.light + 2.5 * noise[..., None]
    return Frame(np.clip(image, 0, 255).astype(np.uint8), labels, instances, depth, scene.airlight)
