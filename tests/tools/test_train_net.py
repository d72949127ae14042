"""The commands of the README as a user runs them, on tiny data."""

import csv
import json

import cv2
import numpy as np
import pytest

from mic_det.toycity.dataset import make_toycity
from tests.conftest import REPOSITORY, TINY, run_script

TRAIN = REPOSITORY / "tools/train_net.py"
SHORT = [*TINY, "SOLVER.MAX_ITER", 3, "SOLVER.CHECKPOINT_PERIOD", 2]


def command(config, output, *flags, overrides=SHORT):
    return [TRAIN, "--config-file", f"configs/{config}.yaml", *flags, *overrides, "OUTPUT_DIR", output]


@pytest.fixture(scope="module")
def trained(toycity, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    return folder, run_script(*command("toycity", folder))


def test_training_leaves_everything_a_user_looks_for(trained):
    folder, run = trained
    names = {path.name for path in folder.iterdir()}
    assert {"config.yaml", "environment.txt", "log.txt", "metrics.json", "model_final.pth", "last_checkpoint"} <= names
    assert {"evaluation.json", "evaluation.csv", "report.html"} <= names
    assert any(name.startswith("events.out.tfevents") for name in names)
    assert "3/3  100%  left 0:00:00" in run.stdout and "pseudo" in run.stdout
    lines = [json.loads(line) for line in (folder / "metrics.json").read_text().splitlines()]
    keys = {
        "total_loss",
        "loss_cls_mask",
        "pseudo_boxes_per_image",
        "source_boxes_per_image",
        "pseudo_score",
        "masked_fraction",
        "lr",
        "skipped_steps",
    }
    assert keys <= set(lines[0])
    assert "teacher/toycity_val/AP50" in lines[-1] and "student/toycity_foggy_all_val/AP50/car" in lines[-1]
    with (folder / "evaluation.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {(row["model"], row["dataset"]) for row in rows} == {
        (model, name) for model in ("teacher", "student") for name in ("toycity_foggy_all_val", "toycity_val")
    }
    page = (folder / "report.html").read_text()
    assert (
        "data:image/svg+xml;base64" in page
        and "Errors of the teacher on toycity_foggy_all_val" in page
        and "<th>precision</th>" in page
    )


def test_evaluation_of_a_checkpoint_repeats_the_final_numbers(trained, tmp_path):
    folder, _ = trained
    run_script(*command("toycity", tmp_path, "--eval-only"), "MODEL.WEIGHTS", folder / "model_final.pth")
    final, again = (
        [{**json.loads(line), "iteration": None} for line in (path / "evaluation.json").read_text().splitlines()]
        for path in (folder, tmp_path)
    )
    assert final == again


@pytest.fixture(scope="module")
def cityscapes_root(tmp_path_factory):
    """A ToyCity that stands in for Cityscapes and Foggy Cityscapes."""
    root = tmp_path_factory.mktemp("as_cityscapes")
    make_toycity(root / "cityscapes", train=4, val=2, size=(256, 128), betas=(0.02,), workers=1)
    return root


def test_cs2foggy_runs_as_it_is(cityscapes_root, tmp_path):
    """The published configuration itself; only the sizes, the length and the weights that would be downloaded change.

    Random weights need group normalisation: frozen batch statistics fit trained weights only.
    """
    overrides = [
        *("MODEL.WEIGHTS", "", "MODEL.RESNETS.NORM", "GN", "SOLVER.MAX_ITER", 2, "SOLVER.STEPS", (), "LOG.PERIOD", 1),
        *("MODEL.DEVICE", "cpu", "SEED", 1, "DATALOADER.NUM_WORKERS", 0),
        *("INPUT.MIN_SIZE_TRAIN", (128,), "INPUT.MAX_SIZE_TRAIN", 256, "INPUT.MIN_SIZE_TEST", 128, "INPUT.MAX_SIZE_TEST", 256),
        *("MODEL.MIC.PSEUDO_LABELS.THRESHOLD", 0.05, "MODEL.ROI_HEADS.SCORE_THRESH_TEST", 0.02),
    ]
    run = run_script(*command("cs2foggy", tmp_path, overrides=overrides), DETECTRON2_DATASETS=str(cityscapes_root))
    assert "cls_mask" in run.stdout
    assert (tmp_path / "model_final.pth").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["SOLVER.MAX_ITERS", "5"], "Did you mean 'SOLVER.MAX_ITER'"),
        (["DATASETS.TARGET", "('toycity_fogy_all_train',)"], "Did you mean 'toycity_foggy_all_train'"),
        (["MODEL.WEIGHTS", "nowhere.pth"], "nowhere.pth does not exist"),
        (["DATASETS.TRAIN", "('cityscapes_train',)"], "mic-det prepare cityscapes --root"),
        (["SOLVER.OPTIMIZER", "LAMB"], "should be 'SGD' or 'AdamW'"),
        (["SOLVER.TARGET_IMS_PER_BATCH", "3", "SOLVER.ACCUMULATE", "2"], "need a multiple of 2"),
    ],
)
def test_mistakes_are_one_sentence_before_training(toycity, tmp_path, arguments, message):
    run = run_script(*command("toycity", tmp_path), *arguments, check=False)
    assert run.returncode == 1
    assert run.stderr.strip().splitlines()[-1].startswith("error: ") and message in run.stderr
    assert "Traceback" not in run.stderr


def test_predict_on_a_folder_an_image_and_a_video(trained, toycity, tmp_path):
    folder, _ = trained
    images = toycity / "toycity/leftImg8bit/val/toyport"
    (tmp_path / "in").mkdir()
    for path in sorted(images.iterdir())[:2]:
        (tmp_path / "in" / path.name).write_bytes(path.read_bytes())
    (tmp_path / "in/broken.png").write_bytes(b"no image")
    options = [*TINY, "MODEL.WEIGHTS", folder / "model_final.pth"]

    def predict(source, name, check=True):
        return run_script(
            *("tools/predict.py", "--config-file", "configs/toycity.yaml", "--input", source, "--output", tmp_path / name),
            *("--min-score", 0.0, *options),
            check=check,
        )

    run = predict(tmp_path / "in", "out", check=False)
    assert run.returncode == 1 and "unreadable: " in run.stdout and "broken.png" in run.stdout
    detections = json.loads((tmp_path / "out/detections.json").read_text())
    listed = json.loads((tmp_path / "out/images.json").read_text())
    assert len(listed["images"]) == 2 and {item["image_id"] for item in detections} <= {0, 1}
    assert listed["categories"][2] == {"id": 2, "name": "car"} and len(detections) > 0
    assert len(list((tmp_path / "out").glob("*.jpg"))) == 2

    video = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(video), cv2.VideoWriter_fourcc(*"MJPG"), 5, (128, 64))
    for _ in range(3):
        writer.write(np.full((64, 128, 3), 90, np.uint8))
    writer.release()
    predict(video, "video")
    assert len(json.loads((tmp_path / "video/images.json").read_text())["images"]) == 3
    assert (tmp_path / "video/clip.mp4").stat().st_size > 0

    assert "does not exist" in predict(tmp_path / "none.png", "x", check=False).stderr
