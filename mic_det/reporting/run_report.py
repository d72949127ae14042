"""The report of a single run: `report.html` in its output folder."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from detectron2.config import CfgNode

from mic_det.evaluation.metrics import names_in, per_class
from mic_det.machine import machine
from mic_det.modeling.meta_arch.adapting import AdaptingModel
from mic_det.outputs import write_json
from mic_det.reporting import report

if TYPE_CHECKING:  # tasks import reports
    from mic_det.tasks import Task


def read_results(folder: str | Path, method: str, test_names: Mapping[str, str] | None = None) -> list[dict]:
    """Results of a run's last evaluation, as summary.json and reports list them, each with `best_of` earlier ones.

    Args:
        folder: OUTPUT_DIR.
        method: what to call the run.
        test_names: dataset name -> name to show; the dataset's own by default.
    """
    entries = evaluations(folder)
    last = entries[-1]["iteration"] if entries else None
    return results_at(entries, last, method, test_names or {})


def read_references(folder: str | Path, method: str, adapts_from: int | None) -> list[dict]:
    """Results to compare those of `read_results` with: of the last evaluation before the run adapted, or of its first one.

    Args:
        adapts_from: the run's first iteration with adaptation; None when it does not adapt.

    Returns:
        Rows as of `read_results`; none when the run was evaluated only once.
    """
    entries = evaluations(folder)
    iterations = sorted({entry["iteration"] for entry in entries if entry["iteration"] is not None})
    if len(iterations) < 2:
        return []
    before = [iteration for iteration in iterations[:-1] if iteration <= (adapts_from or 0)]
    return results_at(entries, before[-1] if before else iterations[0], method, {})


def evaluations(folder: str | Path) -> list[dict]:
    """Entries of a run's evaluation.json; those of weights that somebody evaluated there only where there are no others."""
    found = report.read_lines(Path(folder) / "evaluation.json")
    return [entry for entry in found if entry["iteration"] is not None] or found


def results_at(entries: Sequence[dict], iteration: int | None, method: str, test_names: Mapping[str, str]) -> list[dict]:
    """The rows of one iteration's evaluation."""
    return [
        {
            "method": method,
            "model": entry["model"],
            "test": test_names.get(entry["dataset"], entry["dataset"]),
            "iterations": entry["iteration"],
            **{name: entry[name] for name in names_in(entry).overall},
            names_in(entry).class_key: per_class(entry, names_in(entry).per_class),
            "best": best_of(entries, entry),
            "machine": entry["machine"],
        }
        for entry in entries
        if entry["iteration"] == iteration
    ]


def best_of(entries: Sequence[dict], last: dict) -> dict | None:
    """{"value", "iterations"} of the evaluation with the best headline metric, chosen by the test labels; None if there is one.

    Args:
        entries: of evaluation.json.
        last: the entry whose model and dataset are meant.
    """
    metric = names_in(last).headline
    own = [entry for entry in entries if all(entry[key] == last[key] for key in ("model", "dataset"))]
    valued = [entry for entry in own if entry[metric] is not None]
    if len(own) < 2 or not valued:
        return None
    best = max(valued, key=lambda entry: entry[metric])
    return {"value": best[metric], "iterations": best["iteration"]}


def best_note(results: Sequence[dict]) -> list[str]:
    """A list with a sentence on what choosing a checkpoint by test labels would report, or an empty one."""
    found = [
        f"{run['best']['value']:.1f} ({run['model']} on {run['test']}, after {run['best']['iterations']} iterations)"
        for run in results
        if run["best"]
    ]
    if not found:
        return []
    return [
        f"The table is the last checkpoint's. Best {names_in(results[0]).headline} of all evaluations, chosen by test labels, "
        f"which unsupervised adaptation does not have: {'; '.join(found)}."
    ]


def write_run_report(task: "Task", cfg: CfgNode, model: AdaptingModel) -> Path:
    """Write OUTPUT_DIR/report.html: results, pictures of predictions and masked inputs, curves. Returns its path.

    Args:
        task: Task of the run.
        model: the meta-architecture in evaluation mode.
    """
    folder = Path(cfg.OUTPUT_DIR)
    name = folder.name
    results = read_results(folder, name)
    adapts_from = cfg.MODEL.MIC.BURN_IN if cfg.DATASETS.TARGET else None
    references = read_references(folder, name, adapts_from)
    sections: list[report.Section] = []
    legend = task.pictures.legend(cfg)
    for dataset in cfg.DATASETS.TEST:
        networks = {kind: model.network(kind) for kind in cfg.TEST.MODELS}
        sections.append(
            report.picture_section(f"Predictions on {dataset}", task.comparison(cfg, networks, dataset), legend=legend)
        )
    if cfg.DATASETS.TARGET:
        sections.append(report.picture_section("Pseudo-labels and masked inputs", task.lessons(cfg, model), legend=legend))
    sections += task.sections(cfg, folder)
    sections += [report.class_section(results, cfg.TEST.MODELS[0], dataset) for dataset in cfg.DATASETS.TEST]
    sections.append(report.curve_section({name: folder}, task.curves))
    page = folder / "report.html"
    source, target = ", ".join(cfg.DATASETS.TRAIN), ", ".join(cfg.DATASETS.TARGET) or "no target"
    subtitle = f"{source} to {target}; seed {cfg.SEED}; {cfg.SOLVER.MAX_ITER} iterations; {machine()}."
    report.write_report(
        page,
        name,
        subtitle,
        results,
        sections,
        best_note(results),
        references=references,
        reference=reference_note(references),
        adapts_from=adapts_from,
        warnings=task.notes(cfg),
    )
    return page


def reference_note(references: Sequence[dict]) -> str:
    """A sentence on what a run's results are compared with, or an empty one."""
    if not references:
        return ""
    return f"Differences are to the run's evaluation after {references[0]['iterations']} iterations, in percent points."


def write_summary(path: str | Path, **content: object) -> None:
    """Write results as indented JSON."""
    write_json(path, content, indent=1)
