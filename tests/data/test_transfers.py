"""Every transfer of the field on tiny trees in the public layouts: prepared by its command's code, checked as before training."""

import json

import pytest

import mic_det
from mic_det.data import voc
from mic_det.data.bdd100k import CLASSES as BDD_CLASSES
from mic_det.data.bdd100k import convert_bdd100k
from mic_det.data.build import load_source, load_target
from mic_det.data.detection import check_datasets
from mic_det.data.kitti import convert_kitti
from mic_det.outputs import write_json
from mic_det.toycity.dataset import make_toycity
from tests.data.layouts import voc_xml, write_image, write_text, write_voc
from tests.data.test_bdd100k import make as make_bdd100k
from tests.data.test_kitti import LINES

EXPECTED = {  # classes, first of them
    "cs2foggy": (8, "person"),
    "cs2foggy_all": (8, "person"),
    "sim10k2cs": (1, "car"),
    "kitti2cs": (1, "car"),
    "cs2bdd": (7, "person"),
    "voc2clipart": (20, "aeroplane"),
    "voc2watercolor": (6, "bicycle"),
    "voc2comic": (6, "bicycle"),
}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("field")
    make_toycity(root / "cityscapes", train=4, val=2, size=(128, 64), betas=(0.005, 0.01, 0.02), workers=1)
    for name in ("1", "2"):
        write_image(root / f"sim10k/JPEGImages/{name}.jpg")
        write_text(root / f"sim10k/Annotations/{name}.xml", voc_xml([("car", 1, 1, 20, 20, 0)]))
        write_image(root / f"kitti/training/image_2/{name}.png", (375, 1242))
        write_text(root / f"kitti/training/label_2/{name}.txt", LINES)
    sim10k = voc.convert_voc(
        root / "sim10k/Annotations", root / "sim10k/JPEGImages", voc.SIM10K_CLASSES, relative_to=root / "sim10k"
    )
    write_json(root / "sim10k/annotations/instances_train.json", sim10k.coco)
    write_json(root / "kitti/annotations/instances_train.json", convert_kitti(root / "kitti").coco)
    make_bdd100k(root / "bdd100k", "labels/det_20/det_{split}.json", BDD_CLASSES)
    for split in ("train", "val"):
        write_json(root / f"bdd100k/annotations/instances_day_{split}.json", convert_bdd100k(root / "bdd100k", split).coco)
    layouts = {
        "voc": ("trainval",),
        "clipart": ("train", "test", "all"),
        "watercolor": ("train", "test"),
        "comic": ("train", "test"),
    }
    for name, splits in layouts.items():
        write_voc(root / name, {split: [f"{split}{index}" for index in range(2)] for split in splits})
        classes = voc.CLASSES if name in ("voc", "clipart") else voc.ART_CLASSES
        for split in splits:
            parts = (
                root / name / "Annotations",
                root / name / "JPEGImages",
                classes,
                root / name / f"ImageSets/Main/{split}.txt",
            )
            write_json(root / name / f"annotations/instances_{split}.json", voc.convert_voc(*parts, relative_to=root / name).coco)
    return root


@pytest.mark.parametrize("stem", EXPECTED)
@pytest.mark.parametrize("method", ["", "_mic", "_source_only", "_oracle"])
def test_datasets_fit_each_other_and_the_model(root, monkeypatch, stem, method):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(root))
    cfg = mic_det.load_config(f"{stem}{method}")
    check_datasets(cfg)
    count, first = EXPECTED[stem]
    assert count == cfg.MODEL.ROI_HEADS.NUM_CLASSES
    assert mic_det.data.catalog.class_names(cfg.DATASETS.TRAIN[0], count)[0] == first
    objects = [item for record in load_source(cfg) for item in record["annotations"]]
    assert objects and all(0 <= item["category_id"] < count for item in objects)
    assert bool(load_target(cfg)) == (method in ("", "_mic"))


def test_subsets_share_one_annotation_file(root, monkeypatch):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(root))
    content = json.loads((root / "cityscapes/annotations/instances_train.json").read_text())
    cars = sum(item["category_id"] == 3 for item in content["annotations"])
    trains = sum(item["category_id"] == 6 for item in content["annotations"])
    loaded = {name: mic_det.data.catalog.load_labelled(f"cityscapes_{name}train") for name in ("", "car_", "7_")}
    counts = {name: sum(len(record["annotations"]) for record in records) for name, records in loaded.items()}
    assert counts == {"": len(content["annotations"]), "car_": cars, "7_": len(content["annotations"]) - trains}
