"""Training data of image classifiers."""

from detectron2.config import CfgNode

from mic_det.data.build import check_target_and_tests, load_source, load_target
from mic_det.data.classification_mapper import ClassificationMapper
from mic_det.data.records import Record
from mic_det.data.stream import StreamDataset
from mic_det.errors import UserError


def load_classes(cfg: CfgNode) -> list[Record]:
    """`load_source`. Raises UserError for a dataset whose images have no class."""
    records = load_source(cfg)
    unlabelled = next((record for record in records if "label" not in record), None)
    if unlabelled:
        raise UserError(f"DATASETS.TRAIN: {unlabelled['file_name']} has no class of its own: name a classification dataset.")
    return records


def check_datasets(cfg: CfgNode) -> None:
    """Read every dataset that a run will need, so that a wrong one fails before training starts."""
    load_classes(cfg)
    check_target_and_tests(cfg)


def training_data(cfg: CfgNode, labelled: bool) -> StreamDataset:
    """StreamDataset of the source (`labelled`) or the target."""
    records = load_classes(cfg) if labelled else load_target(cfg)
    return StreamDataset(records, ClassificationMapper(cfg, labelled=labelled))
