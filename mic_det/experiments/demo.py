"""The demonstrations: ToyCity rendered, a network trained on one domain and adapted to another, compared and reported."""

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detectron2.config import CfgNode
from tabulate import tabulate

from mic_det.engine.run import load_model
from mic_det.engine.setup import open_config
from mic_det.evaluation.metrics import names_in
from mic_det.experiments import study
from mic_det.machine import machine
from mic_det.outputs import refuse_unwritable
from mic_det.reporting import report
from mic_det.reporting.run_report import read_results, write_summary
from mic_det.tasks import task_of

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Demo:
    """What a demonstration trains and shows.

    Attributes:
        stem: of the configs.
        methods: two of study.METHODS, without and with adaptation.
        tests: short names of the test datasets; the first is the target.
        model: "teacher" or "student", which of them the pictures show.
        title: of the report.
        lesson: what the pictures of the adapting run mean.
        schedule: config overrides that make the studies' schedule shorter.
    """

    stem: str
    methods: tuple[str, str]
    tests: tuple[str, ...]
    model: str
    title: str
    lesson: str
    schedule: tuple[Any, ...] = ()


DETECTION = Demo(
    "toycity",
    ("source_only", "mic"),
    ("foggy", "clear"),
    "teacher",
    "mic-det: from clear streets to fog",
    "The teacher labels the complete image; the student must find the same objects with blocks removed.",
)
SEGMENTATION = Demo(
    "toycity_seg",
    ("source_only", "mic_daformer"),
    ("real",),
    "student",
    "mic-det: from synthetic to real streets",
    "The teacher labels the complete image; the student learns that label on the image with pasted source classes, and on the "
    "image with blocks removed.",
    ("MODEL.MIC.BURN_IN", 700, "SOLVER.MAX_ITER", 1400),
)


def run_demo(demo: Demo, output: str | Path, overrides: Sequence[Any] = ()) -> tuple[list[dict[str, Any]], str, Path]:
    """Train and compare a Demo's methods on ToyCity; write summary.json and report.html to `output`.

    Returns:
        (results as in summary.json, table as text, path of the report).

    Raises:
        UserError: when ToyCity has not been rendered, `output` cannot be written, or a run fails.
    """
    watch = study.Stopwatch()
    output, overrides = Path(output), (*demo.schedule, *overrides)
    refuse_unwritable(output)
    study.train_methods(demo.stem, demo.methods, output, overrides)
    cfg = open_config(study.config_file(demo.stem, demo.methods[-1]), overrides)
    names = dict(zip(cfg.DATASETS.TEST, demo.tests, strict=True))
    results = [run for method in demo.methods for run in read_results(output / method, method, names)]
    page = write_demo_report(demo, cfg, output, results)
    write_summary(output / "summary.json", seconds=watch.seconds, runs=results)
    return results, results_table(results), page


def results_table(results: Sequence[dict[str, Any]]) -> str:
    """One row per method, network and test data set, with the task's overall metrics in per cent."""
    columns = ["method", "model", "test", *names_in(results[0]).overall]
    return tabulate([[run[key] for key in columns] for run in results], headers=columns, floatfmt=".1f", tablefmt="github")


def write_demo_report(demo: Demo, cfg: CfgNode, output: Path, results: Sequence[dict[str, Any]]) -> Path:
    """Write report.html, with pictures and curves, to `output`; returns its path."""
    task = task_of(cfg)
    models = {method: load_model(cfg, output / method / "model_final.pth") for method in demo.methods}
    networks = {f"{method} ({demo.model})": model.network(demo.model) for method, model in models.items()}
    page, legend = output / "report.html", task.pictures.legend(cfg)
    comparison = task.comparison(cfg, networks, cfg.DATASETS.TEST[0], count=6)
    lessons = task.lessons(cfg, models[demo.methods[-1]])
    report.write_report(
        page,
        demo.title,
        f"ToyCity, {cfg.DATASETS.TRAIN[0]} to {', '.join(cfg.DATASETS.TARGET)}; seed {cfg.SEED}; {machine()}.",
        results,
        [
            report.picture_section("Target street: truth and predictions", comparison, legend=legend),
            report.picture_section("What adaptation learns from", lessons, demo.lesson, legend=legend),
            *(report.class_section(results, demo.model, test) for test in demo.tests),
            report.curve_section({method: output / method for method in demo.methods}, task.curves),
        ],
        [
            f"Both methods made {cfg.SOLVER.MAX_ITER} steps on the same source images; {demo.methods[-1]} used target images in "
            f"the last {cfg.SOLVER.MAX_ITER - cfg.MODEL.MIC.BURN_IN}. Last checkpoint; no target label was read in training."
        ],
    )
    return page


def ensure_toycity(make: Callable[[Path], Any], marker: str = "toycity/annotations/instances_val_foggy_all.json") -> Path:
    """Call `make(datasets' folder)` unless the file `marker` is there; sets DETECTRON2_DATASETS' default, and returns it."""
    os.environ.setdefault("DETECTRON2_DATASETS", "datasets")
    root = Path(os.environ["DETECTRON2_DATASETS"])
    if not (root / marker).exists():
        make(root)
    return root
