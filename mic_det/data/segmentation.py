"""Training data of segmentation networks."""

import os
from pathlib import Path

import numpy as np
from detectron2.config import CfgNode
from detectron2.data import MetadataCatalog

from mic_det.data.build import check_target_and_tests, classes_of, load_source, load_target
from mic_det.data.catalog import load_labelled
from mic_det.data.images import image_size
from mic_det.data.rare_classes import RareClassDataset, RareClassSampling
from mic_det.data.records import Record
from mic_det.data.segmentation_mapper import SegmentationMapper
from mic_det.data.statistics import counts_of
from mic_det.data.stream import READ_ERRORS, StreamDataset
from mic_det.errors import UserError, user_errors
from mic_det.language import open_bank


def load_labels(cfg: CfgNode) -> list[Record]:
    """`load_source`. Raises UserError when a dataset has no label images, or the first of them does not exist."""
    records = load_source(cfg)
    for record in records:
        if "sem_seg_file_name" not in record:
            raise UserError(f"DATASETS.TRAIN: {record['file_name']} has boxes but no label image: name a segmentation dataset.")
        if not Path(record["sem_seg_file_name"]).is_file():
            raise UserError(f"Label image {record['sem_seg_file_name']} does not exist: datasets/README.md says how it is made.")
    return records


def check_datasets(cfg: CfgNode) -> None:
    """Read every dataset, statistic and text bank that a run will need, so that a wrong one fails before training starts."""
    load_labels(cfg)
    check_target_and_tests(cfg)
    check_margins(cfg)
    head = cfg.MODEL.LANGUAGE_HEAD
    bank = open_bank(head.TEXT_BANK, cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES) if head.ENABLED else None
    if bank is not None:
        bank.check_classes(classes_of(cfg.DATASETS.TRAIN[0]), cfg.DATASETS.TRAIN[0])
    if cfg.DATASETS.RARE_CLASSES.ENABLED:
        rare_class_sampling(cfg)


def check_margins(cfg: CfgNode) -> None:
    """Raise UserError when TARGET_MARGINS leave nothing of the first target image.

    Training reports and leaves out others that are too small for them.
    """
    mapper = SegmentationMapper(cfg, labelled=False)
    if mapper.margins and cfg.DATASETS.TARGET:
        name = load_target(cfg)[0]["file_name"]
        try:
            size = image_size(name)
        except READ_ERRORS:
            return
        with user_errors(name):
            mapper.fit(np.zeros((*size, 3), np.uint8))


def rare_class_sampling(cfg: CfgNode) -> RareClassSampling:
    """RareClassSampling over the records of `load_labels`, with the statistics beside each dataset's labels."""
    rare, counts = cfg.DATASETS.RARE_CLASSES, []
    for name in cfg.DATASETS.TRAIN:
        own = load_labelled(name)
        label_root = MetadataCatalog.get(name).label_root
        root = label_root() if label_root else os.path.commonpath([Path(record["sem_seg_file_name"]).parent for record in own])
        counts += counts_of(own, root, cfg.MODEL.SEM_SEG_HEAD.NUM_CLASSES)
    return RareClassSampling(counts, rare.TEMPERATURE, rare.MIN_PIXELS, classes_of(cfg.DATASETS.TRAIN[0]))


def training_data(cfg: CfgNode, labelled: bool) -> StreamDataset:
    """StreamDataset of the source (`labelled`) or the target."""
    mapper = SegmentationMapper(cfg, labelled=labelled)
    if not labelled:
        return StreamDataset(load_target(cfg), mapper)
    records, rare = load_labels(cfg), cfg.DATASETS.RARE_CLASSES
    if not rare.ENABLED:
        return StreamDataset(records, mapper)
    return RareClassDataset(records, mapper, rare_class_sampling(cfg), rare.MIN_PIXELS * rare.MIN_CROP_RATIO)
