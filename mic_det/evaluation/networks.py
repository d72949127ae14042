"""Evaluating teacher and student on every test dataset."""

import csv
import io
import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from detectron2.config import CfgNode
from detectron2.data import build_detection_test_loader
from detectron2.evaluation import DatasetEvaluator
from detectron2.utils import comm
from tabulate import tabulate
from torch import nn
from tqdm import tqdm

from mic_det.config import num_classes, num_classes_key
from mic_det.data.build import check_classes, check_files, reader
from mic_det.data.catalog import load_labelled
from mic_det.data.images import named
from mic_det.data.label_images import read_labels
from mic_det.data.records import Record, Sample
from mic_det.data.stream import READ_ERRORS
from mic_det.errors import UserError
from mic_det.evaluation.metrics import Metrics, per_class
from mic_det.machine import machine
from mic_det.outputs import write_text

logger = logging.getLogger(__name__)
CLASS_METRICS = ("AP50", "VOC07", "VOC12", "IoU", "accuracy")


class Evaluable(Protocol):
    """What evaluation asks of a task; see `tasks.base.Task`."""

    test_batch: int

    def test_mapper(self, cfg: CfgNode) -> Callable[[Record], Sample]:
        """See `Task.test_mapper`."""

    def evaluator(self, cfg: CfgNode, dataset: str, folder: str | Path | None = None) -> DatasetEvaluator:
        """See `Task.evaluator`."""


class TwoNetworks(Protocol):
    """What evaluation asks of an adapting model; see `modeling.meta_arch.adapting.AdaptingModel`."""

    training: bool

    def network(self, name: str) -> nn.Module:
        """See `AdaptingModel.network`."""

    def train(self, mode: bool = True) -> object:
        """See `torch.nn.Module.train`."""


class SurvivingMapper:
    """A test mapper, except that an unreadable image becomes {"unreadable": reason} instead of ending the run."""

    def __init__(self, mapper: Callable[[Record], Sample]) -> None:
        self.mapper = mapper

    def __call__(self, record: Record) -> Sample:
        try:
            return self.mapper(record)
        except READ_ERRORS as error:
            return {"unreadable": named(record["file_name"], error)}


@torch.inference_mode()
def evaluate_network(
    task: Evaluable,
    cfg: CfgNode,
    network: nn.Module,
    dataset_name: str,
    output_dir: str | Path | None = None,
    description: str = "",
) -> Metrics | None:
    """Metrics of one plain network on one dataset (main process; None elsewhere).

    An unreadable image is reported; detectors have found nothing on it, and the other tasks leave it out.

    Args:
        task: Task that `network` serves.
    """
    loader = build_detection_test_loader(
        load_labelled(dataset_name),
        mapper=SurvivingMapper(task.test_mapper(cfg)),
        batch_size=task.test_batch,
        num_workers=cfg.DATALOADER.NUM_WORKERS,
    )
    evaluator = task.evaluator(cfg, dataset_name, output_dir)
    was_training = network.training
    network.eval()
    for inputs in tqdm(loader, desc=description, unit="image", disable=None if comm.is_main_process() else True, leave=False):
        for sample in inputs:
            if "unreadable" in sample:
                logger.warning("Unreadable, evaluated without it: %s", sample["unreadable"])
        readable = [sample for sample in inputs if "unreadable" not in sample]
        if readable:
            evaluator.process(readable, network(readable))
    network.train(was_training)
    comm.synchronize()
    return evaluator.evaluate()


def check_evaluation(task: Evaluable, cfg: CfgNode) -> None:
    """Do on one image of every DATASETS.TEST what evaluation does beside predicting, so that it does not fail after training.

    Raises:
        UserError: when a dataset has other classes than the model, or no image of it can be read together with its truth.
    """
    if cfg.DATASETS.TEST:
        records = {name: load_labelled(name) for name in cfg.DATASETS.TEST}
        check_classes(cfg.DATASETS.TEST, num_classes(cfg), num_classes_key(cfg))
    for name in cfg.DATASETS.TEST:
        check_files(records[name], name, reader(cfg))
        check_label_files(records[name], name)
        check_one(records[name], task.test_mapper(cfg), num_classes(cfg), name)
        task.evaluator(cfg, name).evaluate()  # of nothing: the truth alone


def check_label_files(records: Iterable[Record], name: str) -> None:
    """Warn about label images that do not exist."""
    labels = [record["sem_seg_file_name"] for record in records if "sem_seg_file_name" in record]
    missing = [path for path in labels if not Path(path).is_file()]
    if missing:
        message = "%s: %d of %d label images do not exist, e.g. %s: these images are not evaluated."
        logger.warning(message, name, len(missing), len(labels), missing[0])


def check_one(records: Sequence[Record], mapper: Callable[[Record], Sample], classes: int, name: str) -> None:
    """Raise UserError unless at least one record can be read, with its label image if it has one."""
    reasons = []
    for record in records:
        try:
            sample = mapper(record)
            if "sem_seg_file_name" in record:
                read_labels(record["sem_seg_file_name"], classes, (sample["height"], sample["width"]))
            return
        except READ_ERRORS as error:
            reasons.append(f"{record['file_name']}: {error}")
    raise UserError(f"DATASETS.TEST: none of the {len(records)} images of '{name}' can be evaluated, e.g. {reasons[0]}.")


def evaluate(task: Evaluable, cfg: CfgNode, model: TwoNetworks, iteration: int | None = None) -> dict[str, Metrics]:
    """Evaluate `model`'s TEST.MODELS on DATASETS.TEST.

    Detections, `evaluation.csv` and `evaluation.json` (one entry per model, dataset and evaluation, appended) go to
    OUTPUT_DIR. Returns {"<teacher|student>/<dataset>": metrics}, {} on other processes than the main one.
    """
    results = {}
    for name in cfg.TEST.MODELS:
        for dataset in cfg.DATASETS.TEST:
            folder = Path(cfg.OUTPUT_DIR) / "inference" / name / dataset
            metrics = evaluate_network(task, cfg, model.network(name), dataset, folder, f"{name} on {dataset}")
            if metrics is not None:
                results[f"{name}/{dataset}"] = metrics
    model.train(model.training)  # modes that a parent sets differently from what was restored above
    if comm.is_main_process():
        logger.info("Evaluation%s:\n%s", "" if iteration is None else f" after {iteration} iterations", results_table(results))
        for dataset in cfg.DATASETS.TEST:
            logger.info("Per class on %s:\n%s", dataset, class_table(results, dataset))
        record_results(cfg.OUTPUT_DIR, results, iteration)
    return results


def results_table(results: Mapping[str, Metrics]) -> str:
    """Overall metrics as Markdown, one row per model and dataset."""
    names = list(dict.fromkeys(name for metrics in results.values() for name in metrics if "/" not in name))
    rows = [[*key.split("/", 1), *(metrics.get(name) for name in names)] for key, metrics in results.items()]
    return tabulate(rows, headers=["model", "dataset", *names], floatfmt=".1f", tablefmt="github")


def class_table(results: Mapping[str, Metrics], dataset: str) -> str:
    """One row per model and per-class metric; of detection's, those at IoU 0.5."""
    rows, classes = [], []
    for key, metrics in results.items():
        for metric in CLASS_METRICS:
            by_class = per_class(metrics, metric)
            if key.split("/", 1)[1] == dataset and by_class:
                classes = list(by_class)
                rows.append([key.split("/", 1)[0], metric, *by_class.values()])
    return tabulate(rows, headers=["model", "metric", *classes], floatfmt=".1f", tablefmt="github")


def record_results(output_dir: str | Path, results: Mapping[str, Metrics], iteration: int | None) -> None:
    """Add to evaluation.json (JSON lines) and write evaluation.csv from it, each entry with the machine and the day.

    NaN becomes null and an empty cell. A repeated evaluation of the same iteration takes the place of the earlier one.
    """
    lines = Path(output_dir) / "evaluation.json"
    new = []
    for key, metrics in results.items():
        model, dataset = key.split("/", 1)
        values = {name: None if value != value else round(value, 4) for name, value in metrics.items()}
        new.append({"iteration": iteration, "model": model, "dataset": dataset, **values, "machine": machine()})
    known = [json.loads(line) for line in lines.read_text().splitlines()] if lines.is_file() else []
    repeated = {what_of(entry) for entry in new if iteration is not None}
    entries = [*(entry for entry in known if what_of(entry) not in repeated), *new]
    write_text(lines, "".join(f"{json.dumps(entry)}\n" for entry in entries))
    table = io.StringIO(newline="")
    writer = csv.DictWriter(table, list(dict.fromkeys(column for entry in entries for column in entry)))
    writer.writeheader()
    writer.writerows(entries)
    write_text(lines.with_suffix(".csv"), table.getvalue())


def what_of(entry: Mapping[str, Any]) -> tuple[int | None, str, str]:
    """What tells an entry of evaluation.json apart."""
    return entry["iteration"], entry["model"], entry["dataset"]
