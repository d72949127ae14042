"""tools/check_dataset.py on datasets with one fault of each kind."""

import json

import cv2
import numpy as np
import pytest

from mic_det.data.catalog import register_coco, register_folder
from mic_det.data.check import check_dataset, check_names
from mic_det.data.declare import declare
from tests.conftest import run_script
from tests.data.layouts import write_image, write_text
from tests.data.test_catalog import registered  # noqa: F401 - a fixture

pytestmark = pytest.mark.usefixtures("registered")
BOXES = {
    1: [5, 5, 20, 20],
    2: [5, 5, 20, 20],  # the same again
    3: [70, 10, 20, 20],  # partly outside 80x60
    4: [90, 10, 20, 20],  # wholly outside
    5: [10, 10, 0.5, 20],  # thin
    6: [10, 10, 0, 20],  # no area
    7: [0, 0, 79, 59],
}


@pytest.fixture
def faulty(tmp_path):
    for name in ("a.png", "b.png"):
        write_image(tmp_path / name)
    (tmp_path / "broken.png").write_bytes(b"no image")
    content = {
        "images": [
            {"id": i, "file_name": name, "height": 60, "width": 80}
            for i, name in enumerate(("a.png", "b.png", "broken.png", "gone.png"), start=1)
        ],
        "categories": [{"id": 3, "name": "cat"}, {"id": 8, "name": "dog"}],
        "annotations": [{"id": i, "image_id": 1, "category_id": 3, "bbox": box} for i, box in BOXES.items()]
        + [{"id": 8, "image_id": 2, "category_id": 9, "bbox": [1, 1, 5, 5]}],
    }
    return write_text(tmp_path / "labels.json", json.dumps(content))


def test_every_fault_is_counted(faulty):
    register_coco("faulty", faulty, faulty.parent)
    check = check_dataset("faulty")
    assert check.classes == ["cat", "dog"] and check.images == 4 and check.empty == 3
    assert check.objects == {("cat", "small"): 5, ("cat", "medium"): 1}
    assert check.faults == {
        "duplicated box": 1,
        "box partly outside the image": 1,
        "box wholly outside the image": 1,
        "box thinner than 1 pixel": 1,
        "broken: its bbox has no area": 1,
        "broken: its category is not in the file": 1,
    }
    assert [path.rsplit("/", 1)[1] for path in check.bad_files] == ["broken.png", "gone.png"]
    assert check.failures() == []  # two images and six objects remain


def test_what_would_stop_training(faulty, tmp_path, datasets):
    register_coco("faulty", faulty, faulty.parent)
    register_coco("no_images", faulty, tmp_path / "elsewhere")
    _, failures = check_names(["toycity_val", "faulty", "no_images", "toycity_vla"])
    assert len(failures) == 3
    assert "no_images: none of its 4 images can be read" in failures[0]
    assert "Did you mean 'toycity_val'" in failures[1]
    assert "'faulty' has the classes ['cat', 'dog']" in failures[2]
    register_folder("photos", datasets / "toycity/leftImg8bit/val")
    assert check_names(["photos"])[1] == []
    assert check_names(["photos"], labelled=["photos"])[1] == ["photos: it has no labels."]


def test_command_on_a_config_and_a_folder(datasets, tmp_path):
    run = run_script(
        *("tools/check_dataset.py", datasets / "toycity/leftImg8bit/val", "--config-file", "configs/toycity_source_only.yaml"),
        *("--output", tmp_path, "--decode"),
    )
    assert "toycity_train: 8 images, 8 classes" in run.stdout and "no labels" in run.stdout and "| car" in run.stdout
    sheet = cv2.imread(str(tmp_path / "toycity_train.png"))
    assert sheet.shape[1] == 4 * 320 and sheet.std() > 10


def test_command_fails_where_training_would(datasets, tmp_path, faulty):
    entry = f"- {{name: bad, format: coco, images: {tmp_path}/elsewhere, annotations: {faulty}}}\n"
    write_text(tmp_path / "sets.yaml", entry)
    run = run_script(*("tools/check_dataset.py", "bad", "--declare", tmp_path / "sets.yaml", "--output", tmp_path), check=False)
    assert run.returncode == 1 and "Training would fail: bad: none of its 4 images can be read." in run.stdout
    nothing = run_script("tools/check_dataset.py", check=False)
    assert nothing.returncode == 1 and "Nothing to check" in nothing.stderr


def test_faults_of_label_images_are_counted(tmp_path):
    labels = {"good": np.zeros((60, 80)), "small": np.zeros((30, 80)), "beyond": np.full((60, 80), 7)}
    for name, label in labels.items():
        write_image(tmp_path / f"images/{name}.png")
        (tmp_path / "labels").mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / f"labels/{name}.png"), label.astype(np.uint8))
    folders = {"images": str(tmp_path / "images"), "annotations": str(tmp_path / "labels")}
    declare([{"name": "faulty_seg", "format": "labels", "classes": ["road", "sky"], **folders}])
    faults = check_dataset("faulty_seg").faults
    (unusable, odd) = faults
    assert set(faults.values()) == {1}
    assert unusable.startswith("label image that cannot be used, e.g. ") and "beyond.png has the label 7" in unusable
    assert odd == f"label image of another size than its image, e.g. {tmp_path}/labels/small.png"
