"""Write ToyCity to disk in the Cityscapes directory layout and file naming."""

from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from mic_det.outputs import write_image

from .fog import add_fog
from .render import Frame, render
from .scene import sample_scene

CITY = {"train": "toytown", "val": "toyport"}
SPLIT_SEED = {"train": 0, "val": 1}
SYNTHETIC_SEED = 2  # instead of the split's: the synthetic style never shows a street of the real one
DEFAULT_BETAS = (0.03, 0.045, 0.065)  # visibility of 130, 87 and 60 m
PNG_OPTIONS = (cv2.IMWRITE_PNG_COMPRESSION, 1)


def stem(split: str, index: int) -> str:
    """Path below a split-independent folder, without the suffix: `train/toytown/toytown_000003_000019`."""
    city = CITY[split]
    return f"{split}/{city}/{city}_{index:06d}_000019"


def write_png(path: Path, array: np.ndarray) -> None:
    """Write HxWx3 RGB or HxW pixels."""
    write_image(path, array[..., ::-1] if array.ndim == 3 else array, PNG_OPTIONS)


def write_frame(frame: Frame, root: Path, name: str, betas: Iterable[float]) -> None:
    """Write one frame's image, foggy images, labels and depth (16-bit PNG in centimetres, 65535 beyond 655 m)."""
    write_png(root / f"leftImg8bit/{name}_leftImg8bit.png", frame.image)
    for beta in betas:
        foggy = add_fog(frame.image, frame.depth, beta, frame.airlight)
        write_png(root / f"leftImg8bit_foggy/{name}_leftImg8bit_foggy_beta_{beta:g}.png", foggy)
    write_png(root / f"gtFine/{name}_gtFine_instanceIds.png", frame.instance_ids)
    write_png(root / f"gtFine/{name}_gtFine_labelIds.png", frame.label_ids)
    write_png(root / f"gtFine/{name}_gtFine_labelTrainIds.png", frame.label_train_ids)
    centimetres = np.minimum(frame.depth * 100, 65535).astype(np.uint16)
    write_png(root / f"depth/{name}_depth.png", centimetres)


def write_scene(
    task: tuple[str, int], root: Path, size: tuple[int, int], betas: Iterable[float], seed: int, barriers: bool, synthetic: bool
) -> None:
    """Render one scene of a split and write it; see `write_toycity`."""
    split, index = task
    cv2.setNumThreads(1)
    stream = SYNTHETIC_SEED if synthetic else SPLIT_SEED[split]
    frame = render(sample_scene((seed, stream, index), barriers), *size, synthetic)
    write_frame(frame, root, stem(split, index), betas)


def write_toycity(
    root: str | Path,
    counts: dict[str, int],
    size: tuple[int, int] = (256, 128),
    betas: Iterable[float] = DEFAULT_BETAS,
    seed: int = 0,
    workers: int = 1,
    barriers: bool = False,
    synthetic: bool = False,
) -> None:
    """Render and write every scene of `counts`, e.g. `{"train": 500, "val": 100}`.

    Args:
        root: folder that will hold leftImg8bit/, leftImg8bit_foggy/, gtFine/ and depth/.
        size: (width, height) in pixels, up to 2048x1024.
        betas: fog attenuations per metre; each gives one foggy image per scene.
        seed: other seeds give other scenes; train and val never share one.
        workers: processes.
        barriers: add walls and fences, for all 19 classes.
        synthetic: the synthetic style; training split only.
    """
    root = Path(root)
    tasks = [(split, index) for split, count in counts.items() for index in range(count)]
    write = partial(write_scene, root=root, size=size, betas=betas, seed=seed, barriers=barriers, synthetic=synthetic)
    progress = partial(tqdm, total=len(tasks), desc="ToyCity", unit="image", disable=None)
    if workers <= 1:
        for task in progress(tasks):
            write(task)
        return
    with ProcessPoolExecutor(workers) as pool:
        for _ in progress(pool.map(write, tasks, chunksize=8)):
            pass
