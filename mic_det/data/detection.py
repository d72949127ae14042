"""Training data of detectors."""

import logging

from detectron2.config import CfgNode

from mic_det.data.build import check_target_and_tests, check_usable, has_object, load_source, load_target, reader
from mic_det.data.catalog import check_truth
from mic_det.data.detection_mapper import TrainingMapper
from mic_det.data.faults import Faults
from mic_det.data.masks import compressed
from mic_det.data.records import Record
from mic_det.data.stream import StreamDataset
from mic_det.errors import UserError

logger = logging.getLogger(__name__)


def load_objects(cfg: CfgNode) -> list[Record]:
    """`load_source`; images without objects are left out where DATALOADER.FILTER_EMPTY_ANNOTATIONS says so."""
    records = load_source(cfg)
    unlabelled = next((record for record in records if "annotations" not in record), None)
    if unlabelled:
        raise UserError(f"DATASETS.TRAIN: {unlabelled['file_name']} has label images but no boxes, which detectors learn from.")
    if cfg.MODEL.MASK_ON:
        records = with_masks(records, cfg.INPUT.MASK_FORMAT)
    kept = [record for record in records if has_object(record)]
    if not kept:
        raise UserError(f"No image of {', '.join(cfg.DATASETS.TRAIN)} has an annotated object.")
    check_usable(kept, " and ".join(cfg.DATASETS.TRAIN), reader(cfg))
    if not cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS:
        return records
    if len(kept) < len(records):
        logger.info("%d of %d source images have no objects and are left out.", len(records) - len(kept), len(records))
    return kept


def with_masks(records: list[Record], mask_format: str) -> list[Record]:
    """Records whose objects all have a mask that INPUT.MASK_FORMAT can hold; the other objects are reported and left out.

    Raises:
        UserError: when no object has one, or one is run-length encoded and `mask_format` is not "bitmask".
    """
    faults, result = Faults(), []
    for record in records:
        kept = []
        for item in record["annotations"]:
            if item.get("iscrowd", 0):  # never learned from
                continue
            try:
                mask = compressed(item.get("segmentation"), record.get("height"), record.get("width"))
            except ValueError as error:
                faults.add("object left out because it has no usable mask", f"{item['bbox']} in {record['file_name']}: {error}")
                continue
            if isinstance(mask, dict) and mask_format != "bitmask":
                raise UserError(f"The masks of {record['file_name']} are run-length encoded: set INPUT.MASK_FORMAT bitmask.")
            kept.append({**item, "segmentation": mask})
        result.append({**record, "annotations": kept})
    if faults.counts and not any(record["annotations"] for record in result):
        example = next(iter(faults.examples.values()))
        raise UserError(
            f"MODEL.MASK_ON needs instance masks, but all objects of the source have none; `mic-det prepare cityscapes` and "
            f"`mic-det prepare toycity` write them with --masks. The first object is {example}."
        )
    faults.report("DATASETS.TRAIN")
    return result


def check_datasets(cfg: CfgNode) -> None:
    """Read every dataset that a run will need, so that a wrong one fails before training starts."""
    load_objects(cfg)
    check_target_and_tests(cfg)
    for name in cfg.DATASETS.TEST:
        check_truth(name)


def training_data(cfg: CfgNode, labelled: bool) -> StreamDataset:
    """StreamDataset of the source (`labelled`) or the target."""
    records = load_objects(cfg) if labelled else load_target(cfg)
    return StreamDataset(records, TrainingMapper(cfg, labelled=labelled))
