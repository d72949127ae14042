import json

import pytest

from mic_det.data.bdd100k import CLASSES, convert_bdd100k
from mic_det.data.catalog import load_labelled
from mic_det.errors import UserError
from tests.conftest import run_script
from tests.data.layouts import write_image, write_text


def frame(name, time, categories):
    box = {"x1": 10.5, "y1": 20.0, "x2": 110.5, "y2": 70.0}
    labels = [{"category": kind, "box2d": box} for kind in categories] + [{"category": "lane", "poly2d": []}]
    return {"name": name, "attributes": {"weather": "clear", "scene": "city street", "timeofday": time}, "labels": labels}


def make(root, label_file, categories):
    """Two day images, one of them without labels, and one at night."""
    for split in ("train", "val"):
        frames = [frame(f"{split}0.jpg", "daytime", categories), frame(f"{split}1.jpg", "night", categories)]
        frames.append({"name": f"{split}2.jpg", "attributes": {"timeofday": "daytime"}})
        write_text(root / label_file.format(split=split), json.dumps(frames))
        for index in range(3):
            write_image(root / f"images/100k/{split}/{split}{index}.jpg", (720, 1280))
    return root


@pytest.mark.parametrize(
    ("label_file", "categories"),
    [
        ("labels/det_20/det_{split}.json", ("pedestrian", "motorcycle", "bicycle", "train", "traffic light")),
        ("labels/bdd100k_labels_images_{split}.json", ("person", "motor", "bike", "train", "traffic light")),
    ],
)
def test_both_releases_give_the_same_day_images(tmp_path, monkeypatch, label_file, categories):
    root = make(tmp_path / "bdd100k", label_file, categories)
    run = run_script("datasets/prepare_bdd100k.py", "--root", root)
    assert "instances_day_val.json" in run.stdout
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    records = load_labelled("bdd100k_day_train")
    assert [record["file_name"].rsplit("/", 1)[1] for record in records] == ["train0.jpg", "train2.jpg"]
    assert [CLASSES[item["category_id"]] for item in records[0]["annotations"]] == ["person", "motorcycle", "bicycle"]
    assert records[0]["annotations"][0]["bbox"] == [10.5, 20.0, 100.0, 50.0] and records[1]["annotations"] == []
    assert (records[0]["height"], records[0]["width"]) == (720, 1280)


def test_what_is_no_box_is_counted(tmp_path):
    root = make(tmp_path, "labels/det_20/det_{split}.json", ("car",))
    path = root / "labels/det_20/det_val.json"
    frames = json.loads(path.read_text())
    boxes = [{"x1": 5, "y1": 5, "x2": 5, "y2": 9}, {"x1": 5, "y1": 5}, {"x1": "a", "y1": 5, "x2": 5, "y2": 9}]
    frames[0]["labels"] += [{"category": "car", "box2d": box} for box in boxes]
    frames[0]["attributes"] = None
    path.write_text(json.dumps(frames))
    result = convert_bdd100k(root, "val", None)
    assert result.left_out == {"a box without area": 1, "a box2d without the four numbers x1, y1, x2 and y2": 2}
    for content in ("{}", "[{}]", "[3]"):
        path.write_text(content)
        with pytest.raises(UserError, match="must hold a list of images, each with a name"):
            convert_bdd100k(root, "val")


def test_other_times_and_missing_files(tmp_path):
    root = make(tmp_path, "labels/det_20/det_{split}.json", ("car",))
    assert len(convert_bdd100k(root, "val", None).coco["images"]) == 3
    assert [image["file_name"] for image in convert_bdd100k(root, "val", "night").coco["images"]] == ["images/100k/val/val1.jpg"]
    (root / "images/100k/val/val0.jpg").unlink()
    assert convert_bdd100k(root, "val").bad_files == [str(root / "images/100k/val/val0.jpg")]
    with pytest.raises(UserError, match="no dawn/dusk image"):
        convert_bdd100k(root, "val", "dawn/dusk")
    with pytest.raises(UserError, match="Neither .*det_test.json nor"):
        convert_bdd100k(root, "test")
