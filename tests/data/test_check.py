"""tools/check_dataset.py on datasets with one fault of each kind."""

import json
import re

import cv2
import numpy as np
import pytest

from mic_det.data.catalog import register_coco, register_folder
from mic_det.data.check import check_dataset, check_names, with_classes_of_data
from mic_det.data.declare import declare
from mic_det.errors import UserError
from mic_det.tasks import task_of
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
    assert check.classes == ["cat", "dog"] and check.images == 4 and check.empty == 1
    assert check.objects == {("cat", "small"): 4, ("cat", "medium"): 1}
    left_out = "annotation left out because its"
    assert check.faults.counts == {
        "duplicated box": 1,
        "box partly outside the image": 1,
        "box thinner than 1 pixel": 1,
        f"{left_out} bbox is wholly outside the image": 1,
        f"{left_out} bbox has no area": 1,
        f"{left_out} category is not in the file": 1,
    }
    assert check.faults.examples[f"{left_out} category is not in the file"].endswith("(id 8)")
    (broken, reason), (gone, missing) = check.bad_files
    assert broken.endswith("broken.png") and "cannot be read as an image" in reason
    assert gone.endswith("gone.png") and missing.endswith("gone.png does not exist")
    assert check_names(["faulty"])[1] == []  # two images and five objects remain


def test_what_would_stop_training(faulty, tmp_path, datasets):
    register_coco("faulty", faulty, faulty.parent)
    register_coco("no_images", faulty, tmp_path / "elsewhere")
    _, failures = check_names(["toycity_val", "faulty", "no_images", "toycity_vla"])
    assert len(failures) == 3
    assert "None of the 4 images of 'no_images' exists" in failures[0]
    assert "neither a registered dataset nor a folder" in failures[1] and "Did you mean 'toycity_val'" in failures[1]
    assert "'faulty' has the classes ['cat', 'dog']" in failures[2]
    register_folder("photos", datasets / "toycity/leftImg8bit/val")
    assert check_names(["photos"])[1] == []


def same_decision(cfg, decode=False):
    """The sentences of the check, after training's own decision was found to be the same."""

    def training():
        task_of(cfg).check_datasets(cfg)

    _, failures = check_names([], decode, cfg, training)
    if failures:
        with pytest.raises(UserError) as found:
            training()
        assert str(found.value) in failures
    else:
        training()
    return failures


def change(path, target, edit):
    content = json.loads(path.read_text())
    edit(content)
    return write_text(target, json.dumps(content))


def exchange_sizes(content):
    for image in content["images"]:
        image["width"], image["height"] = image["height"], image["width"]


def no_objects(content):
    content["annotations"] = []


def crowds_alone(content):
    for item in content["annotations"]:
        item["iscrowd"] = 1


def wrong_size_of_all_objects_images(content):
    content["annotations"] = [item for item in content["annotations"] if item["image_id"] == content["images"][0]["id"]]
    content["images"][0]["width"] += 1


CASES = {  # edit of the COCO file -> what training, as TRAIN, TARGET and TEST, says of it
    "nothing": (lambda content: None, None, None, None),
    "exchanged sizes": (exchange_sizes, "can be used, e.g. .*annotations say", "can be used", "can be used"),
    "no annotations": (lambda content: content.pop("annotations"), "no annotations", None, "no annotations"),
    "null annotations": (lambda content: content.update(annotations=None), "no annotations", None, "no annotations"),
    "no objects": (no_objects, "annotated object", None, "no object to evaluate on"),
    "crowds alone": (crowds_alone, "annotated object", None, "no object to evaluate on"),
    "objects on one unusable image": (wrong_size_of_all_objects_images, "None of the 1 images .*can be used", None, None),
    "other classes": (lambda content: content["categories"].pop(), "has the classes", None, "must be the same|has the classes"),
    "no images": (lambda content: content.update(images=[]), "lists no images", "lists no images", "lists no images"),
    "no file": (lambda content: [image.update(file_name="x") for image in content["images"]], *["None of the|stands for"] * 3),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("place", range(3))
def test_the_check_and_training_decide_the_same(tiny_cfg, datasets, tmp_path, case, place):
    edit, *expected = CASES[case]
    path = change(datasets / "toycity/annotations/instances_val.json", tmp_path / "labels.json", edit)
    register_coco("changed", path, datasets / "toycity")
    role = ("TRAIN", "TARGET", "TEST")[place]
    failures = same_decision(tiny_cfg(f"DATASETS.{role}", ("changed",)))
    if expected[place] is None:
        assert failures == []
    else:
        assert re.search(expected[place], failures[0])


def test_truncated_images_are_found_by_decoding(tiny_cfg, datasets, tmp_path):
    for index in range(3):
        data = cv2.imencode(".jpg", np.random.default_rng(index).integers(0, 255, (64, 96, 3), dtype=np.uint8))[1].tobytes()
        (tmp_path / "cut").mkdir(exist_ok=True)
        (tmp_path / f"cut/{index}.jpg").write_bytes(data if index == 2 else data[: len(data) // 2])
    register_folder("cut", tmp_path / "cut")
    assert same_decision(tiny_cfg("DATASETS.TARGET", ("cut",))) == []
    assert check_dataset("cut").bad_files == [], "their headers are whole"
    assert [file[-5:] for file, _ in check_dataset("cut", decode=True).bad_files] == ["0.jpg", "1.jpg"]
    (tmp_path / "cut/2.jpg").unlink()
    assert "None of the 2 images of 'cut' can be used" in same_decision(tiny_cfg("DATASETS.TARGET", ("cut",)))[0]


def test_labels_of_a_target_are_not_looked_at(datasets):
    assert check_dataset("toycity_val").classes
    check = check_dataset("toycity_val", labelled=False)
    assert not check.classes and not check.objects and check.images == 4


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
    assert run.returncode == 1 and "Training would fail: None of the 4 images of 'bad' exists" in run.stdout
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
    check = check_dataset("faulty_seg")
    assert list(check.faults.counts.values()) == [1]
    assert "beyond.png has the label 7" in check.faults.examples["label image that cannot be used"]
    ((file, reason),) = check.bad_files
    assert file.endswith("images/small.png") and "another size: 80x30 instead of 80x60" in reason
    assert check.objects["road", "images"] == 1 and check.objects["road", "pixels"] == 60 * 80, "of the one that is used"
    assert [file[-10:] for file, _ in check_dataset("faulty_seg", decode=True).bad_files] == ["beyond.png", "/small.png"]


def test_another_number_of_classes_is_a_note_for_training(tiny_cfg):
    cfg = tiny_cfg("MODEL.ROI_HEADS.NUM_CLASSES", 3)
    cfg.freeze()
    fitting, note = with_classes_of_data(cfg)
    assert fitting.MODEL.ROI_HEADS.NUM_CLASSES == 8 and cfg.MODEL.ROI_HEADS.NUM_CLASSES == 3
    assert "train with MODEL.ROI_HEADS.NUM_CLASSES 8" in note
    assert with_classes_of_data(tiny_cfg()) == (tiny_cfg(), None)
