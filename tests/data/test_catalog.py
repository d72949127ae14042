import json

import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog
from pycocotools import mask as mask_util

from mic_det.data.build import check_classes, load_target
from mic_det.data.catalog import load_labelled, load_unlabelled, register_coco, register_folder
from mic_det.data.detection import check_datasets, load_objects
from mic_det.data.detection_mapper import TrainingMapper
from mic_det.errors import UserError


@pytest.fixture
def registered(monkeypatch):
    """Names registered in a test are forgotten after it."""
    before = set(DatasetCatalog.list())
    yield
    for name in set(DatasetCatalog.list()) - before:
        DatasetCatalog.remove(name)
        MetadataCatalog.remove(name)


def test_builtin_names_cover_clear_and_foggy(datasets):
    assert {"cityscapes_train", "cityscapes_foggy_0.02_val", "cityscapes_foggy_all_train", "camvid_dusk_train"} <= set(
        DatasetCatalog.list()
    )
    assert len(load_labelled("toycity_train")) == 8
    assert len(load_labelled("toycity_foggy_all_train")) == 24
    assert MetadataCatalog.get("toycity_train").thing_classes[2] == "car"


def test_missing_annotations_quote_the_command(datasets, tmp_path, monkeypatch):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    with pytest.raises(UserError, match=rf"mic-det prepare cityscapes --root {tmp_path}/cityscapes --foggy 0.02$"):
        load_labelled("cityscapes_foggy_0.02_train")


def test_unknown_names_get_a_hint(datasets):
    with pytest.raises(UserError, match="Did you mean 'toycity_train'"):
        load_labelled("toycity_trian")
    with pytest.raises(UserError, match="neither a registered dataset nor a folder"):
        load_unlabelled("nowhere")


def test_three_ways_to_name_an_unlabelled_target(datasets, tmp_path):
    json_file = datasets / "toycity/annotations/instances_train_foggy_0.045.json"
    by_name = load_unlabelled("toycity_foggy_0.045_train")
    by_file = load_unlabelled(str(json_file))
    folder = load_unlabelled(str(datasets / "toycity/leftImg8bit/train"))
    assert [record["file_name"] for record in by_name] == [record["file_name"] for record in by_file]
    assert len(folder) == 8 and not any("annotations" in record for record in by_name + by_file + folder)


def test_a_json_beside_its_images(datasets, tmp_path):
    (tmp_path / "x.png").touch()
    (tmp_path / "list.json").write_text(json.dumps({"images": [{"id": 1, "file_name": "x.png", "height": 1, "width": 1}]}))
    assert load_unlabelled(str(tmp_path / "list.json"))[0]["file_name"] == str(tmp_path / "x.png")


def test_own_datasets(registered, datasets):
    register_coco("mine", datasets / "toycity/annotations/instances_val.json", datasets / "toycity")
    register_folder("photos", datasets / "toycity/leftImg8bit/val")
    assert len(load_labelled("mine")) == 4 and MetadataCatalog.get("mine").thing_classes[0] == "person"
    assert len(load_unlabelled("photos")) == 4
    with pytest.raises(UserError, match="has no labels"):
        load_labelled("photos")


def test_foreign_detectron2_datasets_lose_their_labels(registered):
    DatasetCatalog.register("foreign", lambda: [{"file_name": "a", "image_id": 1, "height": 2, "width": 3, "annotations": [1]}])
    assert load_unlabelled("foreign") == [{"file_name": "a", "image_id": 1, "height": 2, "width": 3}]


def test_checks_before_training(tiny_cfg, registered, tmp_path, datasets, caplog):
    check_datasets(tiny_cfg())
    with pytest.raises(UserError, match=r"NUM_CLASSES is 5, but 'toycity_train' has 8 classes"):
        check_datasets(tiny_cfg("MODEL.ROI_HEADS.NUM_CLASSES", 5))
    with pytest.raises(UserError, match="DATASETS.TRAIN is empty"):
        check_datasets(tiny_cfg("DATASETS.TRAIN", ()))
    content = json.loads((datasets / "toycity/annotations/instances_val.json").read_text())
    content["images"][0]["file_name"] = "gone.png"
    (tmp_path / "some.json").write_text(json.dumps(content))
    register_coco("some_gone", tmp_path / "some.json", datasets / "toycity")
    with caplog.at_level("WARNING"):
        assert len(load_objects(tiny_cfg("DATASETS.TRAIN", ("some_gone",)))) == 4
    assert "1 of 4 images do not exist" in caplog.text
    register_coco("all_gone", tmp_path / "some.json", tmp_path)
    with pytest.raises(UserError, match="None of the 4 images of 'all_gone' exists"):
        load_target(tiny_cfg("DATASETS.TARGET", ("all_gone",)))
    content["categories"][0]["name"] = "pedestrian"
    (tmp_path / "other.json").write_text(json.dumps(content))
    register_coco("other", tmp_path / "other.json", datasets / "toycity")
    load_labelled("other")
    with pytest.raises(UserError, match="'other' has the classes"):
        check_classes(["toycity_train", "other"], 8)


def test_masks_are_checked_before_training(tiny_cfg, registered, tmp_path, datasets):
    on = ("MODEL.MASK_ON", True)
    check_datasets(tiny_cfg(*on, "INPUT.MASK_FORMAT", "bitmask"))
    with pytest.raises(UserError, match="run-length encoded: set INPUT.MASK_FORMAT bitmask"):
        check_datasets(tiny_cfg(*on))
    content = json.loads((datasets / "toycity/annotations/instances_val.json").read_text())
    for item in content["annotations"]:
        del item["segmentation"]
    (tmp_path / "boxes.json").write_text(json.dumps(content))
    register_coco("boxes", tmp_path / "boxes.json", datasets / "toycity")
    with pytest.raises(UserError, match="have none; `mic-det prepare cityscapes`"):
        check_datasets(tiny_cfg(*on, "DATASETS.TRAIN", ("boxes",), "INPUT.MASK_FORMAT", "bitmask"))


def test_single_objects_without_a_mask_are_left_out_and_counted(tiny_cfg, registered, tmp_path, datasets, caplog):
    content = json.loads((datasets / "toycity/annotations/instances_val.json").read_text())
    height, width = content["images"][0]["height"], content["images"][0]["width"]
    total = len(content["annotations"])
    odd = [None, [], [[1, 2, 3]], {"size": [1, 1], "counts": [1]}, {"size": [height, width], "counts": "P"}]
    for item, mask in zip(content["annotations"], odd, strict=False):
        item["segmentation"] = mask
    # An uncompressed run-length encoding: 10 pixels of a column.
    uncompressed = {"size": [height, width], "counts": [5, 10, height * width - 15]}
    content["annotations"][len(odd)]["segmentation"] = uncompressed
    (tmp_path / "some.json").write_text(json.dumps(content))
    register_coco("some_masks", tmp_path / "some.json", datasets / "toycity")
    cfg = tiny_cfg("MODEL.MASK_ON", True, "DATASETS.TRAIN", ("some_masks",), "INPUT.MASK_FORMAT", "bitmask")
    with caplog.at_level("WARNING"):
        check_datasets(cfg)
    assert "5 x object left out because it has no usable mask" in caplog.text
    records = load_objects(cfg)
    masks = [item["segmentation"] for record in records for item in record["annotations"]]
    assert len(masks) == total - 5
    mapper = TrainingMapper(cfg, labelled=True)
    assert sum(len(mapper(record)["instances"].gt_masks) for record in records) <= total - 5
    (own,) = [mask for mask in masks if isinstance(mask, dict) and mask_util.area(mask) == 10]
    decoded = mask_util.decode(own)
    assert decoded[5:15, 0].all() and decoded.sum() == 10


def test_source_images_without_objects_can_be_dropped_but_target_images_stay(tiny_cfg, registered, tmp_path, datasets):
    content = json.loads((datasets / "toycity/annotations/instances_train.json").read_text())
    first = content["images"][0]["id"]
    content["annotations"] = [item for item in content["annotations"] if item["image_id"] != first]
    (tmp_path / "few.json").write_text(json.dumps(content))
    register_coco("few", tmp_path / "few.json", datasets / "toycity")
    cfg = tiny_cfg("DATASETS.TRAIN", ("few",), "DATASETS.TARGET", ("few",))
    assert len(load_objects(cfg)) < 8 and len(load_target(cfg)) == 8
    assert len(load_objects(tiny_cfg("DATASETS.TRAIN", ("few",), "DATALOADER.FILTER_EMPTY_ANNOTATIONS", False))) == 8
