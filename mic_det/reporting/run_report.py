"""The report of a single run: `report.html` in its output folder."""

import json
from pathlib import Path

from detectron2.data import MetadataCatalog

from mic_det.evaluation.matching import match_all
from mic_det.reporting import pictures, report


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
            **{name: entry[name] for name in ("AP", "AP50", "AP75")},
            "per_class_AP50": {key.removeprefix("AP50/"): value for key, value in entry.items() if key.startswith("AP50/")},
        }
        for entry in entries
        if entry["iteration"] == last
    ]


def write_run_report(cfg, model):
    """Write OUTPUT_DIR/report.html: results, pictures of detections and masked inputs, curves. Returns its path.

    Args:
        model: MaskedConsistencyDetector in evaluation mode.
    """
    folder = Path(cfg.OUTPUT_DIR)
    name = folder.name
    results = read_results(folder, name)
    sections = []
    for dataset in cfg.DATASETS.TEST:
        detectors = {kind: model.network(kind) for kind in cfg.TEST.MODELS}
        rows = pictures.comparison(cfg, detectors, dataset, count=4)
        sections.append(report.picture_section(f"Detections on {dataset}", rows))
    if cfg.DATASETS.TARGET:
        sections.append(report.picture_section("Pseudo boxes and masked inputs", pictures.masked_views(cfg, model)))
    for dataset in cfg.DATASETS.TEST:
        detections = folder / "inference" / cfg.TEST.MODELS[0] / dataset / "coco_results.json"
        if detections.is_file():
            matches = match_all(MetadataCatalog.get(dataset).truth(), json.loads(detections.read_text()))
            sections.append(report.error_section(f"Errors of the {cfg.TEST.MODELS[0]} on {dataset}", matches))
    sections += [report.class_section(results, cfg.TEST.MODELS[0], dataset) for dataset in cfg.DATASETS.TEST]
    sections.append(report.curve_section({name: folder}))
    page = folder / "report.html"
    source, target = ", ".join(cfg.DATASETS.TRAIN), ", ".join(cfg.DATASETS.TARGET) or "no target"
    report.write_report(
        page, name, f"{source} to {target}; seed {cfg.SEED}; {cfg.SOLVER.MAX_ITER} iterations.", results, sections
    )
    return page


def write_summary(path, **content):
    Path(path).write_text(json.dumps(content, indent=1))
