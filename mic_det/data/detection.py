"""Training data of detectors."""

import logging

from mic_det.data.build import check_target_and_tests, load_source, load_target
from mic_det.data.detection_mapper import TrainingMapper
from mic_det.data.stream import StreamDataset
from mic_det.errors import UserError

logger = logging.getLogger(__name__)


def load_objects(cfg):
    """`load_source`; images without objects are left out where DATALOADER.FILTER_EMPTY_ANNOTATIONS says so."""
    records = load_source(cfg)
    unlabelled = next((record for record in records if "annotations" not in record), None)
    if unlabelled:
        raise UserError(f"DATASETS.TRAIN: {unlabelled['file_name']} has label images but no boxes, which detectors learn from.")
    if not cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS:
        return records
    kept = [record for record in records if any(not item.get("iscrowd", 0) for item in record["annotations"])]
    if not kept:
        raise UserError(f"No image of {', '.join(cfg.DATASETS.TRAIN)} has an annotated object.")
    if len(kept) < len(records):
        logger.info("%d of %d source images have no objects and are left out.", len(records) - len(kept), len(records))
    return kept


def check_masks(records, mask_format):
    """Raise UserError unless every object has a mask that INPUT.MASK_FORMAT can hold."""
    for record in records:
        for item in record["annotations"]:
            mask = item.get("segmentation")
            if mask is None:
                raise UserError(
                    f"MODEL.MASK_ON needs instance masks, but objects of {record['file_name']} have none; "
                    "prepare_cityscapes.py and prepare_toycity.py write them with --masks."
                )
            if isinstance(mask, dict) and mask_format != "bitmask":
                raise UserError(f"The masks of {record['file_name']} are run-length encoded: set INPUT.MASK_FORMAT bitmask.")


def check_datasets(cfg):
    """Read every dataset that a run will need, so that a wrong one fails before training starts."""
    source = load_objects(cfg)
    if cfg.MODEL.MASK_ON:
        check_masks(source, cfg.INPUT.MASK_FORMAT)
    check_target_and_tests(cfg)


def training_data(cfg, labelled):
    """StreamDataset of the source (`labelled`) or the target."""
    records = load_objects(cfg) if labelled else load_target(cfg)
    return StreamDataset(records, TrainingMapper(cfg, labelled=labelled))
