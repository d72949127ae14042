"""ToyCity's objects as single images: the offline benchmark of classification, from clear air to fog."""

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from mic_det.data.cityscapes import CLASSES, find_objects

from .fog import add_fog
from .render import render
from .scene import sample_scene
from .writer import DEFAULT_BETAS, write_png

DOMAINS = ("clear", "foggy")
SPLITS = ("train", "val")
CROP_SEED = 3  # no street is shared with the other ToyCity benchmarks, between splits or between domains
MARGIN = 0.25  # of the box's longer side, on every side: the surroundings tell look-alikes apart
MIN_SIDE = 16  # pixels of the longer side; smaller objects are left out


def object_crops(image: np.ndarray, instance_ids: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """(class name, HxWx3 image) of every object that is large enough."""
    height, width = instance_ids.shape
    for item in find_objects(instance_ids)[0]:
        x, y, w, h = item["bbox"]
        if max(w, h) < MIN_SIDE:
            continue
        margin = round(MARGIN * max(w, h))
        rows = slice(max(y - margin, 0), min(y + h + margin, height))
        columns = slice(max(x - margin, 0), min(x + w + margin, width))
        yield CLASSES[item["category_id"] - 1], image[rows, columns]


def write_scene_crops(
    task: tuple[str, str, int], root: str | Path, size: tuple[int, int], betas: Sequence[float], seed: int
) -> None:
    """Render one street and write its objects to `root/<domain>/<split>/<class>/`; foggy ones get each of `betas` in turn."""
    domain, split, index = task
    cv2.setNumThreads(1)
    frame = render(sample_scene((seed, CROP_SEED, DOMAINS.index(domain), SPLITS.index(split), index)), *size)
    image = frame.image
    if domain == "foggy":
        image = add_fog(image, frame.depth, betas[index % len(betas)], frame.airlight)
    for number, (name, crop) in enumerate(object_crops(image, frame.instance_ids)):
        write_png(Path(root) / domain / split / name / f"{index:05d}_{number:02d}.png", crop)


def write_crops(
    root: str | Path,
    counts: dict[str, int],
    size: tuple[int, int] = (512, 256),
    betas: Iterable[float] = DEFAULT_BETAS,
    seed: int = 0,
    workers: int = 1,
) -> None:
    """Write the objects of `counts` streets of either domain, e.g. `{"train": 300, "val": 100}`.

    Args:
        root: folder that will hold `{clear,foggy}/{train,val}/<class>/`.
        size: (width, height) of the rendered streets in pixels.
        betas: fog attenuations per metre.
        seed: other seeds give other streets.
        workers: processes.
    """
    tasks = [(domain, split, index) for domain in DOMAINS for split, count in counts.items() for index in range(count)]
    for domain in DOMAINS:
        for folder in (Path(root) / domain / split / name for split in counts for name in CLASSES):
            folder.mkdir(parents=True, exist_ok=True)  # a small benchmark may lack a class
    write = partial(write_scene_crops, root=root, size=size, betas=tuple(betas), seed=seed)
    with ProcessPoolExecutor(workers) as pool:
        for _ in tqdm(pool.map(write, tasks, chunksize=8), total=len(tasks), desc="ToyCity", unit="image", disable=None):
            pass
