import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from mic_det.data.camvid import convert_camvid, find_boxes
from mic_det.errors import UserError
from tests.conftest import SHARED_CAMVID, run_script


def label_image():
    labels = np.full((60, 80), 3, np.uint8)  # road
    labels[10:20, 10:22] = 8  # car, 120 px
    labels[20:30, 22:32] = 8  # touches it by a corner: the same component
    labels[40:47, 10:18] = 9  # pedestrian, 56 px: too small
    labels[40:50, 40:46] = 10  # bicyclist, 60 px: just large enough
    return labels


def test_components_of_at_least_sixty_pixels():
    assert find_boxes(label_image()) == [
        {"category_id": 1, "bbox": [10, 10, 22, 20], "area": 220, "iscrowd": 0},
        {"category_id": 3, "bbox": [40, 40, 6, 10], "area": 60, "iscrowd": 0},
    ]


def write_pair(image, label):
    for path in (image, label):
        path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(image), np.zeros((60, 80, 3), np.uint8))
    cv2.imwrite(str(label), label_image())


def test_public_layout_separates_dusk_by_sequence(tmp_path):
    for part, name in (
        ("train", "0006R0_f1"),
        ("train", "0001TP_1"),
        ("val", "0016E5_1"),
        ("test", "Seq05VD_1"),
        ("test", "0001TP_2"),
    ):
        write_pair(tmp_path / part / f"{name}.png", tmp_path / f"{part}annot" / f"{name}.png")
    found = {split: [image["file_name"] for image in result.coco["images"]] for split, result in convert_camvid(tmp_path).items()}
    assert [len(found[split]) for split in ("day_train", "day_val", "dusk_train", "dusk_test")] == [2, 1, 1, 1]
    assert found["dusk_test"] != found["dusk_train"]


def test_command_on_sorted_folders(tmp_path):
    for part in ("day/train", "day/val", "dusk/train"):
        for name in ("x", "y"):
            write_pair(tmp_path / f"in/{part}/images/{name}.jpg", tmp_path / f"in/{part}/labels/{name}.png")
    (tmp_path / "in/day/val/labels/x.png").unlink()
    run = run_script("datasets/prepare_camvid.py", "--source", tmp_path / "in", "--root", tmp_path / "out", check=False)
    assert run.returncode == 1 and "in/day/val/labels/x.png" in run.stdout
    trained, evaluated = (json.loads((tmp_path / f"out/annotations/dusk_{part}.json").read_text()) for part in ("train", "test"))
    assert [Path(content["images"][0]["file_name"]).name for content in (trained, evaluated)] == ["x.jpg", "y.jpg"]
    content = trained
    assert len(content["annotations"]) == 2 and content["annotations"][0]["id"] == 1


def test_wrong_folder_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match="--source must be a CamVid folder"):
        convert_camvid(tmp_path)


@pytest.mark.skipif(not SHARED_CAMVID.is_dir(), reason="CamVid is not on this machine")
def test_real_images():
    found = convert_camvid(SHARED_CAMVID)
    assert [len(result.coco["images"]) for result in found.values()] == [476, 101, 31, 31]
    assert all(found["dusk_train"].counts[name] > 20 for name in ("car", "pedestrian", "bicyclist", "sign"))
    assert not any(result.bad_files for result in found.values())
