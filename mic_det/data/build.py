"""Records of a run's datasets, what must hold before training, and streams of training samples."""

import logging
from pathlib import Path

from detectron2.data import MetadataCatalog
from detectron2.utils import comm

from mic_det.config import num_classes, num_classes_key
from mic_det.data.catalog import load_labelled, load_unlabelled
from mic_det.data.images import check_values
from mic_det.data.stream import PositionSampler, Stream
from mic_det.errors import UserError

logger = logging.getLogger(__name__)
SOURCE_STREAM, TARGET_STREAM = 0, 1


def check_files(records, name, value_range=()):
    """Warn about images that do not exist, and see `check_values`; raise UserError when none exists."""
    missing = [record["file_name"] for record in records if not Path(record["file_name"]).exists()]
    if len(missing) == len(records):
        raise UserError(f"None of the {len(records)} images of '{name}' exists, e.g. {missing[0]}.")
    if missing:
        logger.warning("%s: %d of %d images do not exist, e.g. %s.", name, len(missing), len(records), missing[0])
    check_values([record["file_name"] for record in records], name, value_range)


def classes_of(name):
    """Class names of a labelled dataset that has been read."""
    metadata = MetadataCatalog.get(name)
    return list(metadata.get("stuff_classes") or metadata.get("thing_classes", []))


def check_classes(names, count, key="MODEL.ROI_HEADS.NUM_CLASSES"):
    """Raise UserError unless all labelled datasets have the same classes and the model as many."""
    classes, first = {name: classes_of(name) for name in names}, names[0]
    for name, found in classes.items():
        if found != classes[first]:
            raise UserError(f"'{name}' has the classes {found}, but '{first}' has {classes[first]}: they must be the same.")
    if len(classes[first]) != count:
        raise UserError(f"{key} is {count}, but '{first}' has {len(classes[first])} classes: {', '.join(classes[first])}.")


def load_source(cfg):
    """Labelled training records of all DATASETS.TRAIN."""
    if not cfg.DATASETS.TRAIN:
        raise UserError("DATASETS.TRAIN is empty: name at least one labelled source dataset.")
    records = []
    for name in cfg.DATASETS.TRAIN:
        part = load_labelled(name)
        check_files(part, name, cfg.INPUT.RANGE)
        records += part
    return records


def load_target(cfg):
    """Unlabelled records of all DATASETS.TARGET; images without objects stay."""
    records = []
    for name in cfg.DATASETS.TARGET:
        part = load_unlabelled(name)
        check_files(part, name, cfg.INPUT.RANGE)
        records += part
    return records


def check_target_and_tests(cfg):
    """Read every dataset beside the source, so that a wrong one fails before training starts."""
    load_target(cfg)
    for name in cfg.DATASETS.TEST:
        check_files(load_labelled(name), name, cfg.INPUT.RANGE)
    check_classes([*cfg.DATASETS.TRAIN, *cfg.DATASETS.TEST], num_classes(cfg), num_classes_key(cfg))


def check_batches(cfg, smallest=1):
    """Raise UserError unless an iteration's images of either domain divide into equal batches of at least `smallest`."""
    batches = comm.get_world_size() * cfg.SOLVER.ACCUMULATE
    for key in ("IMS_PER_BATCH", "TARGET_IMS_PER_BATCH") if cfg.DATASETS.TARGET else ("IMS_PER_BATCH",):
        total = cfg.SOLVER[key]
        if total % batches or total < smallest * batches:
            raise UserError(
                f"SOLVER.{key} is {total}, but {comm.get_world_size()} processes x {cfg.SOLVER.ACCUMULATE} accumulation steps "
                f"(SOLVER.ACCUMULATE) need a multiple of {batches}, and at least {smallest * batches}."
            )


def build_stream(cfg, dataset, labelled, start_iteration=0):
    """An endless stream of this process's micro-batches of a StreamDataset from `start_iteration` on."""
    sampler = PositionSampler(
        size=len(dataset),
        seed=(cfg.SEED, SOURCE_STREAM if labelled else TARGET_STREAM),
        total=cfg.SOLVER.IMS_PER_BATCH if labelled else cfg.SOLVER.TARGET_IMS_PER_BATCH,
        micro_batches=cfg.SOLVER.ACCUMULATE,
        rank=comm.get_rank(),
        world_size=comm.get_world_size(),
        start_iteration=start_iteration,
    )
    return Stream(dataset, sampler, cfg.DATALOADER.NUM_WORKERS)
