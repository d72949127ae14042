"""A headless browser, and one page of every kind as files, made without training."""

import shutil
from types import SimpleNamespace

import numpy as np
import pytest

from mic_det.evaluation.matching import match_class
from mic_det.outputs import write_text
from mic_det.reporting import report
from mic_det.reporting.drawing import draw_boxes
from mic_det.reporting.palette import legend_of

CLASSES = ["person", "rider", "car", "truck", "bus", "train", "motorcycle", "bicycle"]
ARGUMENTS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]


@pytest.fixture(scope="session")
def browser():
    """Debian's chromium; tests are skipped with the reason where it or Playwright is missing."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: pip install playwright")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed: apt-get install chromium")
    with playwright.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield found
        found.close()


def row(method, ap50):
    values = {"AP": ap50 / 2, "AP50": ap50, "AP75": ap50 / 3}
    head = {"method": method, "model": "teacher", "test": "a_rather_long_name_of_a_foggy_test_set", "iterations": 1000}
    return {**head, **values, "per_class_AP50": dict.fromkeys(CLASSES, ap50), "best": None}


def pictures():
    scene = np.linspace(40, 220, 128 * 256 * 3).reshape(128, 256, 3).astype(np.uint8)
    boxes = [[10, 20, 90, 100], [150, 40, 250, 120]]
    drawn = draw_boxes(scene, boxes, [0, 2], CLASSES, verdicts=[("", "solid"), ("missed", "dotted")])
    return [[("ground truth", drawn), ("teacher", scene), ("student", scene)]] * 2


@pytest.fixture(scope="session")
def pages(tmp_path_factory):
    """Paths of a run's report and of a gallery beside it."""
    folder = tmp_path_factory.mktemp("run")
    for name, slope in (("source_only", 1), ("mic", 2)):
        lines = [f'{{"iteration": {step}, "total_loss": {slope * step}, "teacher/x/AP50": {step}}}' for step in range(9)]
        write_text(folder / name / "metrics.json", "\n".join(lines))
    truth = [{"id": 1, "image_id": 1, "bbox": [0, 0, 20, 20]}]
    matches = {name: match_class(truth, [{"image_id": 1, "bbox": [0, 0, 20, 20], "score": 0.9}]) for name in CLASSES}
    wide = [["class", *(f"threshold {number}" for number in range(20))], ["car", *range(20)]]
    results = [row("source_only", 64.1), row("mic", 79.7)]
    marks = [("right", "solid"), ("missed", "dotted")]
    sections = [
        report.picture_section("Predictions", pictures(), "Some images.", legend_of(CLASSES), marks),
        report.error_section("Errors", matches),
        {"title": "A wide table", "tables": [wide]},
        report.class_section(results, "teacher", results[0]["test"]),
        report.curve_section({name: folder / name for name in ("source_only", "mic")}, {}),
    ]
    found = SimpleNamespace(report=folder / "report.html", gallery=folder / "gallery.html")
    report.write_report(found.report, "mic", "one to another; seed 1.", results, sections, ["A note."], warnings=["A warning."])
    report.write_report(found.gallery, "Pseudo-labels", "three images.", [], [report.picture_section("Images", pictures())])
    return found


@pytest.fixture
def visit(browser):
    """visit(path, width=1280, scheme="light") -> page that has loaded; it fails the test on messages and on other requests."""
    opened, faults = [], []

    def open_page(path, width=1280, scheme="light"):
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        page.on("console", lambda message: faults.append(message.text))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("request", lambda request: None if request.url.startswith(("file:", "data:")) else faults.append(request.url))
        page.goto(path.as_uri())
        opened.append(page)
        return page

    yield open_page
    for page in opened:
        page.close()
    assert not faults
