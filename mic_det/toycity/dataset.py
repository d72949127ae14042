"""ToyCity as ready datasets: images, labels, COCO annotations and class statistics."""

import os
from collections.abc import Iterable
from pathlib import Path

from mic_det.data.cityscapes import annotation_file, convert_split
from mic_det.data.conversion import Conversion
from mic_det.data.label_ids import CLASSES
from mic_det.data.records import Pixels
from mic_det.data.statistics import collect, write_statistics
from mic_det.outputs import write_json
from mic_det.toycity.writer import DEFAULT_BETAS, write_toycity


def make_toycity(
    root: str | Path,
    train: int = 600,
    val: int = 100,
    size: tuple[int, int] = (256, 128),
    betas: Iterable[float] = DEFAULT_BETAS,
    seed: int = 0,
    workers: int | None = None,
    masks: bool = False,
) -> dict[Path, Conversion]:
    """Render ToyCity below `root` and write its COCO annotations, with one process per core.

    Returns {annotation file: Conversion}.
    """
    betas = tuple(betas)
    workers = workers or os.cpu_count() or 1
    write_toycity(root, {"train": train, "val": val}, size, betas, seed, workers)
    fogs = [(), *((beta,) for beta in betas), *([betas] if len(betas) > 1 else [])]
    results = {}
    for split in ("train", "val"):
        for fog in fogs:
            path = annotation_file(root, split, fog)
            results[path] = convert_split(root, split, fog, masks=masks)
            write_json(path, results[path].coco)
    return results


def make_toycity_segmentation(
    root: str | Path,
    train: int = 600,
    val: int = 100,
    size: tuple[int, int] = (256, 128),
    betas: Iterable[float] = DEFAULT_BETAS,
    seed: int = 0,
    workers: int | None = None,
) -> dict[str, Pixels]:
    """Render the segmentation benchmark below the datasets' folder `root`, with statistics for Rare Class Sampling.

    `toycity_synthetic` holds `train` labelled streets in the synthetic style, `toycity_seg` as many other ones, and `val`
    more, in the real style. Both have all 19 classes.

    Returns:
        {label path: {class: pixels}} of the synthetic streets.
    """
    workers = workers or os.cpu_count() or 1
    root = Path(root)
    write_toycity(root / "toycity_seg", {"train": train, "val": val}, size, tuple(betas), seed, workers, barriers=True)
    synthetic = root / "toycity_synthetic"
    write_toycity(synthetic, {"train": train}, size, (), seed, workers, barriers=True, synthetic=True)
    counts, _ = collect(sorted(synthetic.glob("gtFine/train/*/*_labelTrainIds.png")), len(CLASSES), "class statistics")
    write_statistics(synthetic, counts)
    return counts
