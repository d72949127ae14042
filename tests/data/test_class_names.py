"""Names of a model's classes, with and without the data on the machine."""

from pathlib import Path

import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog

from mic_det.data import register_coco
from mic_det.data.catalog import class_names
from mic_det.data.declare import declare


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """No data at all, and whatever is registered is taken back."""
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path / "nowhere"))
    before = set(DatasetCatalog.list())
    yield
    for name in set(DatasetCatalog.list()) - before:
        DatasetCatalog.remove(name)
        MetadataCatalog.remove(name)


@pytest.mark.parametrize(
    ("name", "count", "first", "last"),
    [
        ("cityscapes_train", 8, "person", "bicycle"),
        ("cityscapes_foggy_0.02_val", 8, "person", "bicycle"),
        ("sim10k_car_train", 1, "car", "car"),
        ("kitti_car_train", 1, "car", "car"),
        ("bdd100k_day_train", 7, "person", "bicycle"),
        ("clipart_all", 20, "aeroplane", "tvmonitor"),
        ("cityscapes_seg_train", 19, "road", "bicycle"),
        ("visda2017_train", 12, "aeroplane", "truck"),
        ("toycity_cls_clear_train", 8, "person", "bicycle"),
    ],
)
def test_known_datasets_have_names_without_their_data(nowhere, name, count, first, last):
    names = class_names(name, count)
    assert (len(names), names[0], names[-1]) == (count, first, last)


def test_declared_classes_are_known_without_the_data(nowhere):
    declare([{"name": "absent", "format": "coco", "images": "a", "annotations": "a.json", "classes": ["cat", "dog"]}])
    assert class_names("absent", 2) == ["cat", "dog"]


def test_numbers_stand_for_what_nobody_knows(nowhere):
    register_coco("unread", "a.json", "a")
    assert class_names("unread", 3) == class_names("never_registered", 3) == ["0", "1", "2"]


def test_another_number_of_classes_has_no_names(nowhere):
    """The names of eight classes would be the wrong ones for a model with five."""
    assert class_names("cityscapes_train", 5) == ["0", "1", "2", "3", "4"]


def test_detectron2s_own_datasets_keep_their_names(nowhere):
    DatasetCatalog.register("foreign", lambda: Path("nowhere.json").read_text())
    MetadataCatalog.get("foreign").thing_classes = ["cat", "dog"]
    assert class_names("foreign", 2) == ["cat", "dog"]


def test_names_come_from_the_labels_where_none_are_registered(nowhere, toycity):
    register_coco("own", toycity / "toycity/annotations/instances_val.json", toycity / "toycity")
    assert class_names("own", 8)[0] == "person"
