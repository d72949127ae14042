"""Datasets declared in YAML: every format, mappings, and what a user gets wrong."""

import json

import pytest
import yaml
from detectron2.data import MetadataCatalog

import mic_det
from mic_det.data.build import check_classes
from mic_det.data.catalog import load_labelled, load_unlabelled
from mic_det.data.declare import declare
from mic_det.data.detection import check_datasets
from mic_det.errors import UserError
from tests.data.layouts import write_image, write_text, write_voc
from tests.data.test_catalog import registered  # noqa: F401 - a fixture

pytestmark = pytest.mark.usefixtures("registered")


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    return tmp_path


def names(records, name):
    classes = MetadataCatalog.get(name).thing_classes
    return [[classes[item["category_id"]] for item in record["annotations"]] for record in records]


def test_coco_relative_to_the_datasets_folder(root):
    write_image(root / "my/images/a.png")
    content = {
        "images": [{"id": 1, "file_name": "a.png", "height": 60, "width": 80}],
        "categories": [{"id": 1, "name": "auto"}, {"id": 2, "name": "tree"}],
        "annotations": [{"id": i, "image_id": 1, "category_id": i, "bbox": [1, 1, 9, 9]} for i in (1, 2)],
    }
    write_text(root / "my/labels.json", json.dumps(content))
    entry = {"name": "mine", "format": "coco", "images": "my/images", "annotations": "my/labels.json"}
    declare([{**entry, "classes": ["car"], "mapping": {"auto": "car"}}])
    records = load_labelled("mine")
    assert names(records, "mine") == [["car"]] and records[0]["file_name"] == str(root / "my/images/a.png")
    declare([entry])  # again: replaced
    assert names(load_labelled("mine"), "mine") == [["auto", "tree"]]
    assert load_unlabelled("mine")[0].keys() == {"file_name", "image_id", "height", "width"}


def test_voc_with_and_without_a_split(root):
    write_voc(root / "v", {"train": ["a"], "test": ["b", "c"]}, suffix=".png")
    entry = {"name": "v_all", "format": "voc", "images": "v/JPEGImages", "annotations": "v/Annotations"}
    declare([entry, {**entry, "name": "v_test", "split": "v/ImageSets/Main/test.txt", "classes": ["person", "car", "dog"]}])
    assert len(load_labelled("v_all")) == 3
    assert names(load_labelled("v_test"), "v_test") == [["car", "person"]] * 2
    assert MetadataCatalog.get("v_test").thing_classes == ["person", "car", "dog"]  # dog just does not occur
    assert len(load_unlabelled("v_test")) == 2
    (root / "v/Annotations/b.xml").write_text("<annotation><obj")
    assert len(load_labelled("v_test")) == 1  # reported and survived


def test_yolo(root, caplog):
    for name in ("train/a", "train/b", "train/c"):
        write_image(root / f"y/images/{name}.jpg", (100, 200))
    write_text(root / "y/labels/train/a.txt", "1 0.5 0.5 0.25 0.5\n0 0.1 0.1 0.1 0.1\n")
    write_text(root / "y/labels/train/b.txt", "7 0.5 0.5 0.25 0.5\n")
    declare([{"name": "y", "format": "yolo", "images": "y/images", "annotations": "y/labels", "classes": ["cat", "dog"]}])
    records = load_labelled("y")
    assert len(records) == 2 and "b.txt" in caplog.text  # c has no file: no objects; b names class 7 of 2
    assert records[0]["annotations"][0]["bbox"] == [75, 25, 50, 50]
    assert names(records, "y") == [["dog", "cat"], []]


def test_cityscapes_and_images(root, toycity):
    declare(
        [
            {
                "name": "cs",
                "format": "cityscapes",
                "images": str(toycity / "toycity"),
                "split": "val",
                "classes": ["car", "rider"],
            },
            {"name": "photos", "format": "images", "images": str(toycity / "toycity/leftImg8bit/val")},
        ]
    )
    assert len(load_labelled("cs")) == 4 == len(load_unlabelled("cs")) == len(load_unlabelled("photos"))
    assert {name for own in names(load_labelled("cs"), "cs") for name in own} <= {"car", "rider"}
    with pytest.raises(UserError, match="has no labels"):
        load_labelled("photos")


def test_datasets_with_different_names_train_together(root):
    write_voc(root / "a", {"train": ["x"]}, [("automobile", 1, 1, 20, 20, 0)])
    write_voc(root / "b", {"train": ["y"]}, [("car", 1, 1, 20, 20, 0), ("cow", 5, 5, 30, 30, 0)])
    declare(
        [
            {"name": name, "format": "voc", "images": f"{name}/JPEGImages", "annotations": f"{name}/Annotations", **extra}
            for name, extra in (("a", {"mapping": {"automobile": "car"}}), ("b", {"classes": ["car"]}))
        ]
    )
    load_labelled("a"), load_labelled("b")
    check_classes(["a", "b"], 1)


def test_a_block_in_a_config_and_a_file_of_its_own(datasets, tmp_path):
    entry = {"name": "own_val", "format": "coco", "images": "toycity", "annotations": "toycity/annotations/instances_val.json"}
    write_text(tmp_path / "sets.yaml", yaml.safe_dump([entry]))
    write_text(tmp_path / "config.yaml", yaml.safe_dump({"DATASETS": {"DECLARE": [{**entry, "name": "block_val"}], "TEST": []}}))
    cfg = mic_det.load_config(tmp_path / "config.yaml")
    declare(cfg.DATASETS.DECLARE)
    again = write_text(tmp_path / "dumped.yaml", cfg.dump())
    assert mic_det.load_config(again).DATASETS.DECLARE[0]["name"] == "block_val"
    declare(mic_det.load_config(None, ["DATASETS.DECLARE", (str(tmp_path / "sets.yaml"),)]).DATASETS.DECLARE)
    cfg.DATASETS.TRAIN, cfg.DATASETS.TARGET = ("block_val",), ("own_val",)
    cfg.MODEL.ROI_HEADS.NUM_CLASSES = 8
    check_datasets(cfg)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"format": "coco"}, "needs at least a name"),
        ({"name": "n", "format": "coko", "images": "x"}, "format 'coko' is not known.*Did you mean 'coco'"),
        ({"name": "n", "format": "coco", "images": "x"}, "format coco needs 'annotations'"),
        ({"name": "n", "format": "yolo", "images": "x", "annotations": "y"}, "format yolo needs 'classes'"),
        ({"name": "n", "format": "images", "images": "x", "class": []}, "unknown key 'class'.*Did you mean 'classes'"),
        ({"name": "toycity_train", "format": "images", "images": "x"}, "name is taken"),
        ("nowhere.yaml", "nowhere.yaml does not exist"),
    ],
)
def test_mistakes_are_one_sentence(entry, message):
    with pytest.raises(UserError, match=message):
        declare([entry])


def test_broken_declaration_files(tmp_path):
    for text, message in (("name: [", "not valid YAML"), ("name: x", "must hold a list")):
        with pytest.raises(UserError, match=message):
            declare([str(write_text(tmp_path / "d.yaml", text))])
