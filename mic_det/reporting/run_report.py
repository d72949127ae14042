"""The report of a single run: `report.html` in its output folder."""

import json
from pathlib import Path

from mic_det.evaluation.metrics import names_in, per_class
from mic_det.reporting import report


def read_results(folder, method, test_names=None):
    """Results of a run's last evaluation, as summary.json and reports list them.

    Args:
        folder: OUTPUT_DIR.
        method: what to call the run.
        test_names: dataset name -> name to show; the dataset's own by default.
    """
    entries = report.read_lines(Path(folder) / "evaluation.json")
    last = entries[-1]["iteration"] if entries else None
    return [
        {
            "method": method,
            "model": entry["model"],
            "test": (test_names or {}).get(entry["dataset"], entry["dataset"]),
            "iterations": entry["iteration"],
            **{name: entry[name] for name in names_in(entry).overall},
            names_in(entry).class_key: per_class(entry, names_in(entry).per_class),
        }
        for entry in entries
        if entry["iteration"] == last
    ]


def write_run_report(task, cfg, model):
    """Write OUTPUT_DIR/report.html: results, pictures of predictions and masked inputs, curves. Returns its path.

    Args:
        task: Task of the run.
        model: the meta-architecture in evaluation mode.
    """
    folder = Path(cfg.OUTPUT_DIR)
    name = folder.name
    results = read_results(folder, name)
    sections = []
    for dataset in cfg.DATASETS.TEST:
        networks = {kind: model.network(kind) for kind in cfg.TEST.MODELS}
        sections.append(report.picture_section(f"Predictions on {dataset}", task.comparison(cfg, networks, dataset)))
    if cfg.DATASETS.TARGET:
        sections.append(report.picture_section("Pseudo-labels and masked inputs", task.lessons(cfg, model)))
    sections += task.sections(cfg, folder)
    sections += [report.class_section(results, cfg.TEST.MODELS[0], dataset) for dataset in cfg.DATASETS.TEST]
    sections.append(report.curve_section({name: folder}, task.curves))
    page = folder / "report.html"
    source, target = ", ".join(cfg.DATASETS.TRAIN), ", ".join(cfg.DATASETS.TARGET) or "no target"
    subtitle = f"{source} to {target}; seed {cfg.SEED}; {cfg.SOLVER.MAX_ITER} iterations."
    report.write_report(page, name, subtitle, results, sections, task.notes(cfg))
    return page


def write_summary(path, **content):
    Path(path).write_text(json.dumps(content, indent=1))
