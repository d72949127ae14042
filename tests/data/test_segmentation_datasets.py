"""The segmentation benchmarks, prepared by their commands on tiny trees in the public layouts."""

import json

import cv2
import numpy as np
import pytest
from detectron2.data import DatasetCatalog, MetadataCatalog

import mic_det
from mic_det.data.catalog import load_labelled, load_unlabelled
from mic_det.data.label_ids import CITYSCAPES_IDS, CLASSES, SYNTHIA_IDS
from mic_det.data.segmentation import check_datasets
from mic_det.errors import UserError
from tests.conftest import REPOSITORY, SHARED_CAMVID, run_script
from tests.data import segmentation_layouts as layouts

WRITERS = {
    "gta": (layouts.write_gta, "gta"),
    "synthia": (layouts.write_synthia, "synthia"),
    "cityscapes": (layouts.write_cityscapes, "cityscapes"),
    "acdc": (layouts.write_acdc, "acdc"),
    "darkzurich": (layouts.write_dark_zurich, "dark_zurich"),
}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """All benchmarks, prepared as a user would."""
    root = tmp_path_factory.mktemp("benchmarks")
    for name, (write, folder) in WRITERS.items():
        write(root / folder)
        run = run_script(REPOSITORY / f"datasets/prepare_{name}_seg.py", "--root", root / folder)
        assert "label images" in run.stdout
    return root


@pytest.fixture(autouse=True)
def at_root(root, monkeypatch):
    monkeypatch.setenv("DETECTRON2_DATASETS", str(root))


def labels(name):
    return [cv2.imread(record["sem_seg_file_name"], cv2.IMREAD_UNCHANGED)[0, ::2].tolist() for record in load_labelled(name)]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("gta_seg_train", [[0, 0, 0, 2, 2, 2], [10, 10, 13, 13, 18, 18]]),
        ("synthia_seg_train", [[0, 0, 0, 2, 2, 2], [10, 10, 13, 13, 255, 255]]),
        ("cityscapes_seg_train", [[0, 0, 0, 11, 11, 11], [255, 255, 1, 1, 18, 18]]),
        ("acdc_seg_val", [[0, 0, 11, 11, 255, 255]] * 2),
        ("darkzurich_seg_val", [[10, 10, 10, 13, 13, 13]]),
    ],
)
def test_labels_are_training_classes(name, expected):
    assert labels(name) == expected
    assert MetadataCatalog.get(name).stuff_classes == list(CLASSES) and len(MetadataCatalog.get(name).stuff_colors) == 19


def test_id_tables_name_the_same_things():
    assert len(set(CITYSCAPES_IDS)) == len(set(SYNTHIA_IDS)) == 19
    assert (CITYSCAPES_IDS[CLASSES.index("person")], SYNTHIA_IDS[CLASSES.index("car")]) == (24, 8)


def test_targets_are_read_without_labels_and_without_reference_images(root):
    assert [record["file_name"].split("_frame_")[1] for record in load_unlabelled("acdc_seg_train")] == [
        "fog_train_rgb_anon.png",
        "night_train_rgb_anon.png",
    ]
    assert [record["file_name"].split("_frame_")[1] for record in load_unlabelled("darkzurich_seg_train")] == [
        "night_rgb_anon.png"
    ]
    assert len(load_unlabelled("acdc_seg_test")) == 2
    assert all(set(record) == {"file_name", "image_id"} for record in load_unlabelled("cityscapes_seg_train"))


def test_statistics_have_the_published_form(root):
    entries = json.loads((root / "gta/sample_class_stats.json").read_text())
    assert {"0": 48, "2": 48, "file": "labels/00001_labelTrainIds.png"} in entries
    by_class = json.loads((root / "gta/samples_with_class.json").read_text())
    assert by_class["13"] == [["labels/00002_labelTrainIds.png", 32]]
    assert len(json.loads((root / "cityscapes/sample_class_stats.json").read_text())) == 2  # of the training split


# The images of the layouts have 12 x 8 pixels.
SMALL = ["DATASETS.RARE_CLASSES.MIN_PIXELS", 1, "INPUT.SEM_SEG.TARGET_MARGINS", (0, 0, 0, 0)]


@pytest.mark.parametrize("transfer", ["gta2cs", "synthia2cs", "cs2acdc", "cs2darkzurich"])
@pytest.mark.parametrize("method", ["source_only", "daformer", "hrda", "mic_daformer", "mic_hrda", "oracle", "reference"])
def test_every_config_finds_its_data(transfer, method):
    if (transfer, method) == ("cs2darkzurich", "oracle"):
        pytest.skip("Dark Zurich has no labelled training images")
    cfg = mic_det.load_config(f"{transfer}_seg_{method}", SMALL)
    check_datasets(cfg)


@pytest.mark.parametrize("transfer", ["gta2cs", "synthia2cs"])
@pytest.mark.parametrize("method", ["", "_no_text", "_baseline", "_reference", "_hrda"])
def test_every_lcmsm_config_finds_its_data_and_asks_for_its_text(transfer, method):
    cfg = mic_det.load_config(f"{transfer}_seg_lcmsm{method}", SMALL)
    if method in ("_no_text", "_baseline"):
        return check_datasets(cfg)
    with pytest.raises(UserError, match="text_bank_cityscapes.pth does not exist"):
        check_datasets(cfg)
    cfg.MODEL.LANGUAGE_HEAD.TEXT_BANK = ""
    with pytest.raises(UserError, match="TEXT_BANK is empty: make one with `mic-det text-bank`"):
        check_datasets(cfg)
    cfg.MODEL.LANGUAGE_HEAD.TEXT_BANK = "random"
    check_datasets(cfg)


def test_preparing_twice_changes_nothing_and_broken_labels_are_named(root, tmp_path):
    layouts.write_gta(tmp_path / "gta")
    (tmp_path / "gta/labels/00003.png").write_bytes(b"no image")
    runs = [
        run_script(REPOSITORY / "datasets/prepare_gta_seg.py", "--root", tmp_path / "gta", check=False).stdout for _ in range(2)
    ]
    assert runs[0] == runs[1] and "not usable" in runs[0] and "00003.png" in runs[0] and "2 label images" in runs[0]
    run = run_script(REPOSITORY / "datasets/prepare_synthia_seg.py", "--root", tmp_path / "gta", check=False)
    assert run.returncode == 1 and "--root must be the folder" in run.stderr


def test_missing_labels_name_the_prepare_command(tmp_path, monkeypatch):
    layouts.write_gta(tmp_path / "gta")
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    with pytest.raises(UserError, match=r"00001\.png has no label .*mic-det prepare gta-seg --root datasets/gta"):
        load_labelled("gta_seg_train")
    assert len(load_unlabelled("gta_seg_train")) == 2
    with pytest.raises(UserError, match="does not exist.*mic-det prepare cityscapes-seg"):
        load_labelled("cityscapes_seg_val")


def test_camvid_by_day_and_dusk(tmp_path, monkeypatch):
    layouts.write_camvid(tmp_path / "public")
    run = run_script(
        *(REPOSITORY / "datasets/prepare_camvid_seg.py", "--source", tmp_path / "public", "--root", tmp_path / "camvid")
    )
    assert "bicyclist" in run.stdout
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    assert labels("camvid_seg_dusk_train") == [[0, 0, 3, 3, 255, 255]]
    assert [len(load_labelled(f"camvid_seg_{split}")) for split in ("day_train", "day_val", "dusk_test")] == [2, 1, 1]
    # train/ and test/ have an image of one name.
    assert len({record["sem_seg_file_name"] for record in load_labelled("camvid_seg_day_train")}) == 2
    with pytest.raises(UserError, match=r"List of images .* does not exist.*mic-det prepare camvid-seg"):
        monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path / "empty"))
        load_labelled("camvid_seg_day_val")


@pytest.mark.skipif(not SHARED_CAMVID.is_dir(), reason="CamVid is not on this machine")
def test_the_real_camvid(tmp_path, monkeypatch):
    run_script(*(REPOSITORY / "datasets/prepare_camvid_seg.py", "--source", SHARED_CAMVID, "--root", tmp_path / "camvid"))
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    sizes = [len(load_labelled(f"camvid_seg_{split}")) for split in ("day_train", "day_val", "dusk_train", "dusk_test")]
    assert sizes == [476, 101, 31, 31]
    found = np.unique(cv2.imread(load_labelled("camvid_seg_dusk_test")[0]["sem_seg_file_name"], cv2.IMREAD_UNCHANGED))
    assert set(found.tolist()) <= {*range(11), 255}


def test_all_names_are_registered():
    for name in ("toycity_seg_foggy_all_val", "toycity_synthetic_train", "acdc_seg_test", "camvid_seg_dusk_test"):
        assert name in DatasetCatalog.list()
