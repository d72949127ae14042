"""The config that adapts a user's detector: his own, with the least that adaptation changes.

What changes, and why:

- Data: source, target and test set are the given ones.
- Length: ITERATIONS at one learning rate, the config's after its first decay (BASE_LR * GAMMA), after a short warm-up. A config
  describes training from ImageNet weights; its length and first rate would undo what a trained detector has learnt.
- MODEL.MIC.BURN_IN is 0: the teacher is a trained detector from the start.
- TEST.AT_START: a test set is evaluated before as well, so that the report says what adaptation brought.
- As many target images per iteration as source images.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog

from mic_det.config import load_config, num_classes, num_classes_key
from mic_det.data.catalog import known_classes
from mic_det.data.classes import category_names
from mic_det.data.coco import load_json, usable_content
from mic_det.errors import UserError

ITERATIONS = 3000
WARMUP = 100
SOURCE, TEST = "adapt_source", "adapt_test"


def recipe(
    weights: str | Path,
    config: str | Path | CfgNode,
    target: str | Path,
    source: str | Path,
    source_images: str | Path | None = None,
    classes: Sequence[str] | None = None,
    test: str | Path | None = None,
    iterations: int | None = None,
) -> list[Any]:
    """Config keys and values for `adapt`, whose arguments these are; further overrides may follow.

    Raises:
        UserError: when there is no such target or source, or the source has another number of classes than the config.
    """
    cfg = load_config(config)
    names = class_names_of(cfg, source, classes)
    solver, length = cfg.SOLVER, iterations or ITERATIONS
    declared: list[dict] = []
    train, tests = str(source), tuple[str, ...]()
    if is_file(source):
        declared, train = [declaration(SOURCE, source, source_images, names)], SOURCE
    if test is not None and is_file(test):
        declared.append(declaration(TEST, test, images_of(test, target), names))
    if test is not None:
        tests = (TEST if is_file(test) else str(test),)
    return [
        *("MODEL.WEIGHTS", str(Path(weights).expanduser().absolute()), "MODEL.MIC.BURN_IN", 0),
        *("TEST.AT_START", True),
        *("DATASETS.DECLARE", (*cfg.DATASETS.DECLARE, *declared), "DATASETS.TRAIN", (train,), "DATASETS.TEST", tests),
        *("DATASETS.TARGET", (place_of(target),), "SOLVER.TARGET_IMS_PER_BATCH", solver.IMS_PER_BATCH),
        *("SOLVER.LR_SCHEDULER_NAME", "WarmupMultiStepLR", "SOLVER.STEPS", (), "SOLVER.MAX_ITER", length),
        *("SOLVER.BASE_LR", solver.BASE_LR * solver.GAMMA, "SOLVER.WARMUP_ITERS", min(WARMUP, length // 10)),
        *("SOLVER.CHECKPOINT_PERIOD", max(length // 5, 1)),
    ]


def is_file(name: str | Path) -> bool:
    """Whether a data set is given as a JSON file, not as a registered name.

    Raises:
        UserError: when it is neither.
    """
    if str(name) in DatasetCatalog.list():
        return False
    if not Path(name).expanduser().is_file():
        raise UserError(f"{name} is neither a COCO JSON file nor a registered data set.")
    return True


def place_of(target: str | Path) -> str:
    """The target as DATASETS.TARGET takes it. Raises UserError when it is no folder, JSON file or registered name."""
    if str(target) in DatasetCatalog.list():
        return str(target)
    path = Path(target).expanduser().absolute()
    if not path.exists():
        raise UserError(f"--target {target} does not exist: name a folder of unlabelled images, or a COCO JSON file.")
    return str(path)


def declaration(name: str, annotations: str | Path, images: str | Path | None, classes: Sequence[str]) -> dict[str, Any]:
    """An entry of DATASETS.DECLARE for a COCO JSON; its images are below its own folder unless `images` names another."""
    file = Path(annotations).expanduser().absolute()
    folder = Path(images).expanduser().absolute() if images is not None else images_of(file)
    return {"name": name, "format": "coco", "images": str(folder), "annotations": str(file), "classes": list(classes)}


def images_of(annotations: str | Path, *further: str | Path) -> Path:
    """The first of a JSON's own folder, that folder's parent and `further` ones that has the file's first image.

    Its own folder where none has it: what is missing is said when the data is looked at.
    """
    file = Path(annotations).expanduser().absolute()
    images = load_json(file).get("images") or [{}]
    name = str(images[0].get("file_name"))
    folders = [file.parent, file.parent.parent, *(Path(folder).expanduser().absolute() for folder in further)]
    return next((folder for folder in folders if (folder / name).is_file()), file.parent)


def class_names_of(cfg: CfgNode, source: str | Path, classes: Iterable[str] | None) -> list[str]:
    """Names of the detector's classes in its order: `classes`, else those of the config's data where the source has the same,
    else the source's, in the order of their ids.

    Raises:
        UserError: when their number is not the config's.
    """
    own = [name for data in cfg.DATASETS.TRAIN[:1] if data in DatasetCatalog.list() for name in known_classes(data)]
    if is_file(source):
        found = category_names(usable_content(load_json(Path(source).expanduser()), str(source))[0])
    else:
        found = known_classes(str(source))
    names = list(classes or (own if set(own) == set(found) else found))
    if len(names) != num_classes(cfg):
        key = num_classes_key(cfg)
        where = "--classes names" if classes else f"{source} has"
        raise UserError(
            f"{key} of the config is {num_classes(cfg)}, but {where} {len(names)} classes ({', '.join(names)}): name the classes "
            "that the detector was trained with, in its order, in --classes, and use the config that it was trained with."
        )
    return names
