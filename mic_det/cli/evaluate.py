"""`mic-det evaluate`."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from mic_det.cli.common import (
    TRAILING,
    answer,
    config_beside,
    config_option,
    file_of,
    json_option,
    overrides_argument,
    path_option,
    stdout_for_answer,
    weights_option,
)
from mic_det.errors import UserError

MOST = 100  # COCO's number of detections
EXAMPLES = """\b
Examples, of a model:
  mic-det evaluate --weights output/toycity/model_final.pth
  mic-det evaluate --weights my.pth --config my.yaml --dataset cityscapes_foggy_0.02_val --output output/evaluation --json

\b
Examples, of detections in COCO's results format:
  mic-det evaluate --detections coco_results.json --annotations instances_val.json
  mic-det evaluate --detections coco_results.json --dataset toycity_val --voc voc07 --report output/errors.html
"""


@click.command("evaluate", epilog=EXAMPLES, context_settings=TRAILING)
@weights_option("Checkpoint of the model to evaluate.")
@config_option(required=False, words="Its config file or name; default: the config.yaml beside the weights.")
@click.option(
    *("--dataset", "datasets"),
    multiple=True,
    metavar="NAME",
    help="Labelled dataset, as often as needed; default: DATASETS.TEST.",
)
@path_option("--output", words="Folder to write; default: OUTPUT_DIR.")
@path_option("--detections", words="COCO results to evaluate instead of a model: a JSON list of detections.")
@path_option("--annotations", words="COCO JSON with the truth for --detections; or give one --dataset.")
@click.option("--declare", multiple=True, metavar="YAML", help="File of datasets to declare first; as often as needed.")
@click.option("--voc", multiple=True, metavar="METRIC", help="With --detections: also voc07 or voc12.")
@click.option("--most", type=int, default=MOST, show_default=True, help="With --detections: how many of an image count in AP.")
@path_option("--report", words="With --detections: HTML file with curves, and errors by class, size and score.")
@json_option()
@overrides_argument()
def command(
    weights: str | None,
    config: str | None,
    datasets: tuple[str, ...],
    output: Path | None,
    detections: Path | None,
    annotations: Path | None,
    declare: tuple[str, ...],
    voc: tuple[str, ...],
    most: int,
    report: Path | None,
    as_json: bool,
    overrides: tuple[str, ...],
) -> None:
    """Evaluate a model on labelled datasets, or detections in COCO's format without a model.

    A model's detections, evaluation.json and evaluation.csv go to --output; what a run wrote there stays.
    """
    if detections:
        if weights or config or output or len(datasets) > 1 or (annotations is None) != bool(datasets):
            raise UserError("--detections is evaluated against one of --annotations and --dataset, and without a model.")
        with stdout_for_answer(as_json):
            metrics, classes = detection_metrics(detections, annotations, next(iter(datasets), None), declare, voc, most, report)
        answer(metrics) if as_json else show(metrics, classes)
        if report and not as_json:
            click.echo(f"\nWrote {report}.")
        return
    if annotations or report or voc:
        raise UserError("--annotations, --report and --voc go with --detections.")
    keys = {
        "MODEL.WEIGHTS": weights and file_of(weights),
        "DATASETS.TEST": datasets,
        "OUTPUT_DIR": output,
        "DATASETS.DECLARE": list(declare),
    }
    given = [word for key, value in keys.items() if value for word in (key, str(value))]
    with stdout_for_answer(as_json):
        results = model_metrics(config or config_beside(weights), [*given, *overrides])
    if as_json:
        answer(results)


def model_metrics(config: str, overrides: Sequence[str]) -> dict[str, dict[str, float]]:
    """Evaluate MODEL.WEIGHTS on DATASETS.TEST; returns {"<teacher|student>/<dataset>": {metric: per cent}}."""
    from mic_det.engine.log import RunLog
    from mic_det.engine.run import evaluate_weights
    from mic_det.engine.setup import prepare_run

    with RunLog() as log:
        return evaluate_weights(prepare_run(config, overrides), log)[1]


def detection_metrics(
    detections: Path,
    annotations: Path | None,
    dataset: str | None,
    declare: Sequence[str],
    voc: Sequence[str],
    most: int,
    report: Path | None,
) -> tuple[dict[str, float], list[str]]:
    """(metrics in per cent, names of the classes) of COCO results against a COCO file or a dataset; writes `report` if named."""
    from mic_det.data.catalog import load_truth
    from mic_det.data.classes import category_names
    from mic_det.data.coco import drop_faulty, load_detections, load_json
    from mic_det.engine.setup import open_config
    from mic_det.evaluation import all_metrics
    from mic_det.evaluation.matching import match_all
    from mic_det.outputs import refuse_overwrite, refuse_unwritable
    from mic_det.reporting import report as pages

    if report:
        refuse_overwrite([name for name in (annotations, detections, *declare) if name], [report], "--report")
        refuse_unwritable(report.parent, "--report")
    open_config(None, ["DATASETS.DECLARE", list(declare)] if declare else [])
    content = drop_faulty(load_json(annotations), str(annotations)) if annotations else load_truth(dataset or "")
    found = load_detections(detections)
    if annotations:
        warn_of_other_ids(annotations, content)
    metrics = all_metrics(content, found, voc, most)
    if report:
        section = pages.error_section("Errors", match_all(content, found))
        pages.write_report(report, "Evaluation", f"{detections} on {annotations or dataset}", [], [section])
    return metrics, category_names(content)


def warn_of_other_ids(annotations: Path, content: dict[str, Any]) -> None:
    """Say so when a file does not number its categories as the results of a run do."""
    ids = sorted(category["id"] for category in content.get("categories", []))
    if ids != list(range(1, len(ids) + 1)):
        click.echo(
            f"Note: {annotations} numbers its categories {ids[0]} to {ids[-1]}, with gaps or not from 1; the results of a "
            "run count classes from 1 in their order: evaluate those with --dataset.",
            file=sys.stderr,
        )


def show(metrics: dict[str, float], classes: list[str]) -> None:
    """Print the metrics, over all classes and for each."""
    from tabulate import tabulate

    names = [name for name in metrics if "/" not in name]
    click.echo(tabulate([[metrics[name] for name in names]], headers=names, floatfmt=".2f", tablefmt="github"))
    kinds = [kind for kind in ("AP", "AP50", "VOC07", "VOC12") if kind in metrics]
    rows = [[name, *(metrics[f"{kind}/{name}"] for kind in kinds)] for name in classes]
    click.echo("\n" + tabulate(rows, headers=["class", *kinds], floatfmt=".2f", tablefmt="github"))
