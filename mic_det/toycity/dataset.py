"""ToyCity as a ready dataset: images, labels and COCO annotations."""

import os

from mic_det.data.cityscapes import annotation_file, convert_split
from mic_det.data.conversion import write_json
from mic_det.toycity.writer import DEFAULT_BETAS, write_toycity


def make_toycity(root, train=600, val=100, size=(256, 128), betas=DEFAULT_BETAS, seed=0, workers=None, masks=False):
    """Render ToyCity below `root` and write its COCO annotations, with one process per core.

    Returns {annotation file: Conversion}.
    """
    betas = tuple(betas)
    workers = workers or os.cpu_count()
    write_toycity(root, {"train": train, "val": val}, size, betas, seed, workers)
    fogs = [(), *((beta,) for beta in betas), *([betas] if len(betas) > 1 else [])]
    results = {}
    for split in ("train", "val"):
        for fog in fogs:
            path = annotation_file(root, split, fog)
            results[path] = convert_split(root, split, fog, masks=masks)
            write_json(path, results[path].coco)
    return results
