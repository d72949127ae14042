"""Records of a run's datasets, what must hold before training, and streams of training samples."""

import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from detectron2.config import CfgNode
from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.utils import comm

from mic_det.config import num_classes, num_classes_key
from mic_det.data.catalog import load_labelled, load_unlabelled
from mic_det.data.images import ImageReader, check_values, image_size
from mic_det.data.label_images import label_size, read_labels
from mic_det.data.records import Record
from mic_det.data.stream import READ_ERRORS, PositionSampler, Stream, StreamDataset
from mic_det.errors import UserError

logger = logging.getLogger(__name__)
SOURCE_STREAM, TARGET_STREAM = 0, 1


def reader(cfg: CfgNode | None = None) -> ImageReader:
    """The ImageReader of a run with `cfg`. It raises one of READ_ERRORS for images that it cannot use."""
    return ImageReader(cfg.INPUT.FORMAT, tuple(cfg.INPUT.RANGE)) if cfg else ImageReader()


def record_fault(record: Record, read: Callable[[str], np.ndarray] | None = None, num_classes: int | None = None) -> str | None:
    """Why training would leave an image out, or None.

    Args:
        record: dataset dict.
        read: path -> HxWx3; None looks at the headers alone.
        num_classes: of label images.
    """
    path, labels = record["file_name"], record.get("sem_seg_file_name")
    gone = next((file for file in (path, labels) if file and not Path(file).exists()), None)
    if gone:
        return f"{gone} does not exist"
    try:
        size = tuple(read(path).shape[:2] if read else image_size(path))
        wanted = (record.get("height"), record.get("width"))
        if None not in wanted and size != wanted:
            return f"its size is {size[1]}x{size[0]}, but its annotations say {wanted[1]}x{wanted[0]}"
        if labels and read:
            read_labels(labels, num_classes, size)
        elif labels and size != (found := label_size(labels)):
            return f"label image {labels} has another size: {found[1]}x{found[0]} instead of {size[1]}x{size[0]}"
    except READ_ERRORS as error:
        return str(error)
    return None


def check_files(records: list[Record], name: str, read: ImageReader) -> None:
    """Warn about images that do not exist, and see `check_values`; raise UserError when none can be used.

    Args:
        read: ImageReader.
    """
    missing = [record["file_name"] for record in records if not Path(record["file_name"]).exists()]
    if len(missing) == len(records):
        cure = " Its backslashes are no separators here: write /." if "\\" in missing[0] else ""
        raise UserError(f"None of the {len(records)} images of '{name}' exists, e.g. {missing[0]}.{cure}")
    if missing:
        logger.warning("%s: %d of %d images do not exist, e.g. %s.", name, len(missing), len(records), missing[0])
    check_usable([record for record in records if Path(record["file_name"]).exists()], name, read, len(classes_of(name)))
    check_values([record["file_name"] for record in records], name, read.value_range)


def check_usable(records: list[Record], name: str, read: ImageReader, num_classes: int | None = None) -> None:
    """Raise UserError when no image of `name` can be used; reading ends with the first that can. See `record_fault`."""
    first = None
    for record in records:
        fault = record_fault(record, read, num_classes)
        if fault is None:
            return
        first = first or f"{record['file_name']}: {fault}"
    raise UserError(f"None of the {len(records)} images of '{name}' can be used, e.g. {first}.")


def classes_of(name: str) -> list[str]:
    """Class names of a labelled dataset that has been read."""
    metadata = MetadataCatalog.get(name) if name in DatasetCatalog.list() else {}
    return list(metadata.get("stuff_classes") or metadata.get("thing_classes", []))


def class_mismatch(classes: Mapping[str, list[str]]) -> str | None:
    """A sentence when labelled datasets have different classes, else None.

    Args:
        classes: {name: class names}.
    """
    first = next(iter(classes), "")
    for name, found in classes.items():
        if found != classes[first]:
            return (
                f"'{name}' has the classes {found}, but '{first}' has {classes[first]}: they must be the same. Select and rename "
                "them with `classes` and `mapping` in DATASETS.DECLARE."
            )
    return None


def check_classes(names: Sequence[str], count: int, key: str = "MODEL.ROI_HEADS.NUM_CLASSES") -> None:
    """Raise UserError unless all labelled datasets have the same classes and the model as many."""
    classes = {name: classes_of(name) for name in names}
    mismatch, first = class_mismatch(classes), names[0]
    if mismatch:
        raise UserError(mismatch)
    if len(classes[first]) != count:
        raise UserError(f"{key} is {count}, but '{first}' has {len(classes[first])} classes: {', '.join(classes[first])}.")


def load_source(cfg: CfgNode) -> list[Record]:
    """Labelled training records of all DATASETS.TRAIN."""
    if not cfg.DATASETS.TRAIN:
        raise UserError("DATASETS.TRAIN is empty: name at least one labelled source dataset.")
    records = []
    for name in cfg.DATASETS.TRAIN:
        part = load_labelled(name)
        check_files(part, name, reader(cfg))
        records += part
    return records


def load_target(cfg: CfgNode) -> list[Record]:
    """Unlabelled records of all DATASETS.TARGET; images without objects stay."""
    records = []
    for name in cfg.DATASETS.TARGET:
        part = load_unlabelled(name)
        check_files(part, name, reader(cfg))
        records += part
    return records


def has_object(record: Record) -> bool:
    """Whether a record has an annotation that is no crowd."""
    return any(not item.get("iscrowd", 0) for item in record["annotations"])


def check_target_and_tests(cfg: CfgNode) -> None:
    """Read every dataset beside the source, so that a wrong one fails before training starts."""
    load_target(cfg)
    for name in cfg.DATASETS.TEST:
        records = load_labelled(name)
        check_files(records, name, reader(cfg))
        if "annotations" in records[0] and not any(has_object(record) for record in records):
            raise UserError(f"DATASETS.TEST: '{name}' has no object to evaluate on.")
    check_classes([*cfg.DATASETS.TRAIN, *cfg.DATASETS.TEST], num_classes(cfg), num_classes_key(cfg))


def check_batches(cfg: CfgNode, smallest: int = 1, pairs: bool = False) -> None:
    """Raise UserError unless an iteration's images of either domain divide into equal batches of at least `smallest`.

    With `pairs`, there must be as many source as target images.
    """
    batches = comm.get_world_size() * cfg.SOLVER.ACCUMULATE
    for key in ("IMS_PER_BATCH", "TARGET_IMS_PER_BATCH") if cfg.DATASETS.TARGET else ("IMS_PER_BATCH",):
        total = cfg.SOLVER[key]
        if total % batches or total < smallest * batches:
            raise UserError(
                f"SOLVER.{key} is {total}, but {comm.get_world_size()} processes x {cfg.SOLVER.ACCUMULATE} accumulation steps "
                f"(SOLVER.ACCUMULATE) need a multiple of {batches}, and at least {smallest * batches}."
            )
    source, target = cfg.SOLVER.IMS_PER_BATCH, cfg.SOLVER.TARGET_IMS_PER_BATCH
    if pairs and cfg.DATASETS.TARGET and source != target:
        raise UserError(
            f"SOLVER.IMS_PER_BATCH is {source} and SOLVER.TARGET_IMS_PER_BATCH {target}, but every source image is mixed with "
            "one target image (ClassMix): set both to the same, or MODEL.MIC.MIX.ENABLED False."
        )


def build_stream(cfg: CfgNode, dataset: StreamDataset, labelled: bool, start_iteration: int = 0) -> Stream:
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
