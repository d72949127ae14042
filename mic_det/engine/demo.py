"""The demonstration: ToyCity rendered, a detector trained on clear streets, adapted to fog, compared and reported."""

import logging
import os
from pathlib import Path

from tabulate import tabulate

from mic_det.engine import study
from mic_det.engine.run import load_model
from mic_det.engine.setup import open_config
from mic_det.reporting import pictures, report
from mic_det.reporting.run_report import read_results, write_summary

logger = logging.getLogger(__name__)
METHODS = ("source_only", "mic")


def short_names(cfg):
    """Test datasets of a two-domain benchmark: the first is the target, the second the source."""
    return dict(zip(cfg.DATASETS.TEST, ("foggy", "clear"), strict=True))


def run_demo(output, overrides=()):
    """Train and compare source-only and MIC on ToyCity; write summary.json and report.html to `output`.

    ToyCity must have been rendered. Returns (results as in summary.json, table as text, path of the report).
    """
    watch = study.Stopwatch()
    output = Path(output)
    study.train_methods("toycity", METHODS, output, overrides)
    cfg = open_config(study.config_file("toycity", "mic"), overrides)
    names = short_names(cfg)
    results = [run for method in METHODS for run in read_results(output / method, method, names)]
    page = write_demo_report(cfg, output, results)
    write_summary(output / "summary.json", seconds=watch.seconds, runs=results)
    return results, results_table(results), page


def results_table(results):
    rows = [[run[key] for key in ("method", "model", "test", "AP", "AP50", "AP75")] for run in results]
    return tabulate(rows, headers=["method", "model", "test", "AP", "AP50", "AP75"], floatfmt=".1f", tablefmt="github")


def write_demo_report(cfg, output, results):
    models = {method: load_model(cfg, output / method / "model_final.pth") for method in METHODS}
    detectors = {f"{method} (teacher)": model.network("teacher") for method, model in models.items()}
    target = cfg.DATASETS.TEST[0]
    page = output / "report.html"
    report.write_report(
        page,
        "mic-det: from clear streets to fog",
        f"ToyCity, {cfg.DATASETS.TRAIN[0]} to {', '.join(cfg.DATASETS.TARGET)}; seed {cfg.SEED}; {study.machine()}.",
        results,
        [
            report.picture_section(
                "Foggy street: truth and detections",
                pictures.comparison(cfg, detectors, target),
                "Detections with a score of at least 0.5.",
            ),
            report.picture_section(
                "What MIC learns from",
                pictures.masked_views(cfg, models["mic"]),
                "The teacher labels the complete image; the student must find the same objects with blocks removed.",
            ),
            report.class_section(results, "teacher", "foggy"),
            report.class_section(results, "teacher", "clear"),
            report.curve_section({method: output / method for method in METHODS}),
        ],
        [
            f"Both methods made {cfg.SOLVER.MAX_ITER} steps on the same source images; MIC used target images in the last "
            f"{cfg.SOLVER.MAX_ITER - cfg.MODEL.MIC.BURN_IN}. Last checkpoint; no target label was read in training."
        ],
    )
    return page


def ensure_toycity(make):
    """Call `make(root)` unless ToyCity's annotations are there; set DETECTRON2_DATASETS' default. Returns the root."""
    os.environ.setdefault("DETECTRON2_DATASETS", "datasets")
    root = Path(os.environ["DETECTRON2_DATASETS"]) / "toycity"
    if not (root / "annotations/instances_val_foggy_all.json").exists():
        make(root)
    return root
