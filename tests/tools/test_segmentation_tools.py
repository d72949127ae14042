"""The tools on segmentation, as a user runs them."""

import json

import cv2
import numpy as np
import pytest

from mic_det.data.label_ids import CITYSCAPES_IDS, COLOURS
from mic_det.experiments.demo import SEGMENTATION, run_demo
from mic_det.experiments.study import methods_of, run_study
from tests.conftest import REPOSITORY, TINY_SEGMENTATION, run_script

CONFIG = "toycity_seg_mic_daformer"
HRDA = ("MODEL.MIC.STUDENT", "HRDA", "MODEL.HRDA.DETAIL_CROP", "(32,64)")
SHORT = [*TINY_SEGMENTATION, "SOLVER.MAX_ITER", 2, "MODEL.MIC.BURN_IN", 1]


@pytest.fixture(scope="module")
def run(toycity, tmp_path_factory):
    """A run of two iterations from `train_net.py`; HRDA, so that all outputs exist."""
    folder = tmp_path_factory.mktemp("trained")
    run_script(REPOSITORY / "tools/train_net.py", "--config-file", CONFIG, *SHORT, *HRDA, "OUTPUT_DIR", folder)
    return folder


def predict(run, source, output, *flags):
    weights = ("MODEL.WEIGHTS", run / "model_final.pth")
    tool = (REPOSITORY / "tools/predict.py", "--config-file", CONFIG, "--input", source, "--output", output)
    return run_script(*tool, *flags, *TINY_SEGMENTATION, *HRDA, *weights)


@pytest.fixture
def images(toycity, tmp_path):
    """Two copies of a validation image, in folders below another."""
    source = next((toycity / "toycity_seg/leftImg8bit/val/toyport").iterdir())
    for name in ("a/one_rgb_anon.png", "b/two_rgb_anon.png"):
        (tmp_path / "images" / name).parent.mkdir(parents=True)
        (tmp_path / "images" / name).write_bytes(source.read_bytes())
    return tmp_path / "images"


def test_a_run_leaves_a_report_with_all_pictures(run):
    page = (run / "report.html").read_text()
    for title in (
        "Predictions on toycity_seg_val",
        "Pseudo-labels and masked inputs",
        "Confusion of the student",
        "mIoU",
        "Training",
    ):
        assert title in page
    assert page.count("data:image") > 20 and (run / "evaluation.csv").read_text().startswith("iteration,model,dataset,mIoU")
    log = (run / "log.txt").read_text()
    assert "quality" in log and "seg_mix" in log and "| student | toycity_seg_val |" in log


def test_predictions_are_label_images_in_every_form(run, images, tmp_path):
    predict(run, images, tmp_path / "out")
    labels = cv2.imread(str(tmp_path / "out/train_ids/a/one_rgb_anon.png"), cv2.IMREAD_UNCHANGED)
    assert labels.shape == (64, 128) and labels.dtype == np.uint8 and labels.max() < 19
    ids = cv2.imread(str(tmp_path / "out/label_ids/a/one_rgb_anon.png"), cv2.IMREAD_UNCHANGED)
    colours = cv2.imread(str(tmp_path / "out/colour/a/one_rgb_anon.png"))[..., ::-1]
    assert np.array_equal(ids, np.array(CITYSCAPES_IDS)[labels]) and np.array_equal(colours, np.array(COLOURS)[labels])
    assert (tmp_path / "out/overlay/b/two_rgb_anon.png").is_file()


def test_servers_get_flat_folders(run, images, tmp_path):
    predict(run, images, tmp_path / "out", "--flat")
    assert {path.name for path in (tmp_path / "out/train_ids").iterdir()} == {"one_rgb_anon.png", "two_rgb_anon.png"}


def test_hrdas_parts_can_be_looked_at(run, images, tmp_path):
    pictures = {}
    for part in ("lr", "hr", "att"):
        predict(run, images / "a/one_rgb_anon.png", tmp_path / part, "--hrda-out", part)
    for part in ("lr", "hr"):
        pictures[part] = cv2.imread(str(tmp_path / part / "train_ids/one_rgb_anon.png"), cv2.IMREAD_UNCHANGED)
    assert pictures["lr"].shape == (64, 128) and not np.array_equal(pictures["lr"], pictures["hr"])
    attention = cv2.imread(str(tmp_path / "att/attention/one_rgb_anon.png"), cv2.IMREAD_UNCHANGED)
    assert attention.shape == (64, 128) and attention.max() > 0


def test_videos_are_drawn(run, images, tmp_path):
    frame = cv2.imread(str(images / "a/one_rgb_anon.png"))
    writer = cv2.VideoWriter(str(tmp_path / "in.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 5, frame.shape[1::-1])
    for _ in range(3):
        writer.write(frame)
    writer.release()
    assert "3 images" in predict(run, tmp_path / "in.mp4", tmp_path / "out").stdout
    assert (tmp_path / "out/in.mp4").stat().st_size > 0


def test_the_gallery_says_where_pseudo_labels_are_wrong(run, tmp_path):
    tool = (REPOSITORY / "tools/view_pseudo_labels.py", "--config-file", CONFIG, "--count", 2)
    weights = (*TINY_SEGMENTATION, *HRDA, "MODEL.WEIGHTS", run / "model_final.pth")
    run_script(*tool, "--truth", "toycity_seg_val", "--output", tmp_path / "truth.html", *weights)
    page = (tmp_path / "truth.html").read_text()
    assert "of the pixels wrong" in page and "diagnostic: uses target labels" in page and "motorcycle" in page
    run_script(*tool, "--input", "toycity_seg_train", "--output", tmp_path / "plain.html", *weights)
    assert "diagnostic" not in (tmp_path / "plain.html").read_text()


def test_datasets_are_counted_and_shown(toycity, tmp_path):
    tool = REPOSITORY / "tools/check_dataset.py"
    options = ("--options", "DATASETS.RARE_CLASSES.MIN_PIXELS", 5)  # as small as the images
    run = run_script(tool, "toycity_seg_val", "--config-file", CONFIG, "--output", tmp_path, *options)
    assert "toycity_seg_val: 4 images, 19 classes" in run.stdout and "pixels" in run.stdout
    sheet = cv2.imread(str(tmp_path / "toycity_seg_val.png"))
    assert sheet.shape[1] == 4 * 320 and len(np.unique(sheet.reshape(-1, 3), axis=0)) > 100


def test_a_declared_dataset_trains_without_preparation(toycity, tmp_path):
    """A folder of images and one of labels; the class statistics are counted and kept."""
    for kind, folder, suffix in (
        ("images", "leftImg8bit", "_leftImg8bit.png"),
        ("labels", "gtFine", "_gtFine_labelTrainIds.png"),
    ):
        (tmp_path / kind).mkdir()
        for path in (toycity / "toycity_synthetic" / folder / "train/toytown").glob(f"*{suffix}"):
            (tmp_path / kind / path.name.replace(suffix, ".png")).write_bytes(path.read_bytes())
    classes = "".join(f"\n        - c{index}" for index in range(19))
    (tmp_path / "mine.yaml").write_text(
        f"""_BASE_: {CONFIG}
DATASETS:
  DECLARE:
    - name: my_streets
      format: labels
      images: {tmp_path}/images
      annotations: {tmp_path}/labels
      classes: {classes}
  TRAIN: ("my_streets",)
  TEST: ()
"""
    )
    run_script(
        *(REPOSITORY / "tools/train_net.py", "--config-file", tmp_path / "mine.yaml", *SHORT, "OUTPUT_DIR", tmp_path / "out"),
    )
    assert (tmp_path / "out/model_final.pth").is_file() and (tmp_path / "labels/sample_class_stats.json").is_file()


def test_demo_compares_source_only_and_mic(toycity, tmp_path):
    results, table, page = run_demo(SEGMENTATION, tmp_path, SHORT)
    assert {run["method"] for run in results} == {"source_only", "mic_daformer"} and "mIoU" in table
    text = page.read_text()
    assert "from synthetic to real streets" in text and "mixed with source classes" in text and "Classes (real)" in text


def test_study_reports_the_student(toycity, tmp_path):
    lcmsm = ["lcmsm_no_text", "lcmsm_random", "lcmsm"]
    assert methods_of("toycity_seg") == ["source_only", "daformer", "mt_daformer", "mic_daformer", *lcmsm, "oracle"]
    text = run_study("toycity_seg", ("source_only", "daformer"), tmp_path, (0, 1), tmp_path / "report.md", SHORT)
    assert "daformer minus source_only, toycity_seg_val mIoU (student), seed by seed" in text and "95 % interval" in text
    assert "Rare Class Sampling temperature 0.01" in text and "Student's t" in text
    assert "| toycity_seg_val mIoU" in text and "| toycity_seg_val aAcc" in text


def test_networks_are_exported_for_one_size(run, toycity):
    tool = (REPOSITORY / "tools/export_model.py", "--config-file", CONFIG, "--output", run / "m.onnx")
    image = next((toycity / "toycity_seg/leftImg8bit/val").rglob("*.png"))
    exported = run_script(*tool, "--image", image, *TINY_SEGMENTATION, *HRDA, "MODEL.WEIGHTS", run / "model_final.pth")
    assert "probabilities differ from the student's by at most" in exported.stdout
    description = json.loads((run / "m.onnx.json").read_text())
    assert description["input"] == [3, 64, 128] and description["classes"][0] == "road"
