"""One self-contained HTML file: results, curves, bars and pictures, all embedded."""

import base64
import io
import json
from pathlib import Path

import cv2
from jinja2 import Environment, PackageLoader, select_autoescape

from mic_det.evaluation.confusion import read_confusion
from mic_det.evaluation.metrics import names_in
from mic_det.outputs import write_text
from mic_det.reporting import errors, figures

CURVES = {
    "total_loss": "loss (source and masked target)",
    "gradient_norm": "gradient norm",
}


def embed(data, kind):
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"


def embed_image(image):
    """HxWx3 uint8 RGB -> data URI."""
    return embed(cv2.imencode(".jpg", image[..., ::-1], (cv2.IMWRITE_JPEG_QUALITY, 88))[1].tobytes(), "jpeg")


def embed_figure(figure):
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return embed(buffer.getvalue(), "png")


def embed_rows(rows):
    return [[(caption, embed_image(image)) for caption, image in row] for row in rows]


def read_lines(path):
    """Entries of a JSON-lines file; [] when it does not exist."""
    return [json.loads(line) for line in Path(path).read_text().splitlines()] if Path(path).is_file() else []


def curve_section(folders, curves):
    """Training curves of several runs.

    Args:
        folders: run name -> output folder.
        curves: logged value -> title, beside loss and gradient norm.
    """
    histories = {name: read_lines(Path(folder) / "metrics.json") for name, folder in folders.items()}
    logged = {name for entries in histories.values() for entry in entries for name in entry}
    plots = [figures.curves(histories, name, title) for name, title in {**CURVES, **curves}.items() if name in logged]
    return {"title": "Training", "figures": [embed_figure(plot) for plot in plots]}


def class_section(results, model, test):
    """Bars per class of one model kind on one test set; `results` as in `write_report`."""
    names = names_in(results[0])
    values = {run["method"]: run[names.class_key] for run in results if (run["model"], run["test"]) == (model, test)}
    plot = figures.class_bars(values, f"{names.per_class} per class, {model}, {test}", names.per_class)
    return {"title": f"Classes ({test})", "figures": [embed_figure(plot)]}


def error_section(title, matches, min_score=0.5):
    """Precision-recall curves and what is right, wrong and missed, by class, size and score.

    Args:
        matches: class name -> ClassMatches.
        min_score: detections below it count as not made in the tables by class and size.
    """
    note = (
        f"IoU above 0.5. Right, wrong and missed at a score of at least {min_score}; a second detection of an object is wrong; "
        "a wrong detection counts at its own size. Sizes as in COCO: below 32², below 96² pixels, larger."
    )
    tables = [errors.by_class(matches, min_score), errors.by_size(matches, min_score), errors.by_score(matches)]
    plot = figures.precision_recall_curves(matches, title)
    return {"title": title, "note": note, "figures": [embed_figure(plot)], "tables": tables}


def confusion_sections(folder, model, datasets, unit):
    """Pictures of the confusion matrices that a run's last evaluation left in its output folder.

    Args:
        model: "teacher" or "student".
        unit: what is counted: "pixels" or "images".
    """
    sections = []
    for dataset in datasets:
        found = read_confusion(folder / "inference" / model / dataset)
        if found:
            classes, matrix = found
            plot = figures.confusion(matrix, classes)
            note = f"Rows are true classes; shades and numbers are the percent of their {unit} predicted as the column's class."
            title = f"Confusion of the {model} on {dataset}"
            sections.append({"title": title, "note": note, "figures": [embed_figure(plot)]})
    return sections


def picture_section(title, rows, note=""):
    return {"title": title, "note": note, "rows": embed_rows(rows)}


def write_report(path, title, subtitle, results, sections, notes=()):
    """Write the report.

    Args:
        results: [] for none, or what `read_results` returns.
        sections: what `curve_section`, `class_section` and `picture_section` return.
        notes: sentences below the table.
    """
    environment = Environment(loader=PackageLoader("mic_det.reporting", "."), autoescape=select_autoescape(["j2"]))
    page = environment.get_template("report.html.j2").render(
        title=title,
        subtitle=subtitle,
        results=results,
        sections=sections,
        notes=notes,
        metrics=names_in(results[0]).overall if results else (),
    )
    write_text(path, page)
