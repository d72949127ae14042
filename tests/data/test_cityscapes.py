import json

import cv2
import numpy as np
import pytest

from mic_det.data.cityscapes import annotation_file, convert_split, find_objects, has_tiny_fragment
from mic_det.errors import UserError
from tests.conftest import REPOSITORY, run_script


def instance_map():
    ids = np.full((40, 60), 7, dtype=np.uint16)  # road
    ids[5:15, 10:30] = 26000  # car
    ids[20:30, 40:50] = 24003  # person
    ids[30:32, 5:9] = 24  # person group
    ids[0:4, 0:4] = 30001  # caravan: an instance class that is not evaluated
    return ids


def test_boxes_areas_and_crowds():
    objects, dropped = find_objects(instance_map())
    assert dropped == 0
    assert objects == [
        {"category_id": 1, "bbox": [40, 20, 10, 10], "area": 100, "iscrowd": 0},
        {"category_id": 3, "bbox": [10, 5, 20, 10], "area": 200, "iscrowd": 0},
    ]


def test_fragments_of_one_or_two_pixels_drop_the_object_only_when_asked():
    ids = instance_map()
    ids[35, 20] = 26000  # a stray pixel of the car
    whole, _ = find_objects(ids)
    assert whole[1]["bbox"] == [10, 5, 20, 31] and whole[1]["area"] == 201
    kept, dropped = find_objects(ids, drop_fragments=True)
    assert dropped == 1 and [item["category_id"] for item in kept] == [1]
    for pixels, tiny in (([(0, 0)], True), ([(0, 0), (0, 1)], True), ([(0, 0), (0, 1), (1, 0)], False)):
        mask = np.zeros((5, 5), bool)
        mask[tuple(np.transpose(pixels))] = True
        assert has_tiny_fragment(mask) is tiny


@pytest.fixture
def tree(tmp_path):
    """Two frames in the exact Cityscapes layout, the second without objects."""
    for name, ids in (("aachen_000000_000019", instance_map()), ("aachen_000001_000019", np.full((40, 60), 7, np.uint16))):
        for path, array in (
            (f"gtFine/train/aachen/{name}_gtFine_instanceIds.png", ids),
            (f"leftImg8bit/train/aachen/{name}_leftImg8bit.png", np.zeros((40, 60, 3), np.uint8)),
            *(
                (f"leftImg8bit_foggy/train/aachen/{name}_leftImg8bit_foggy_beta_{beta}.png", np.zeros((40, 60, 3), np.uint8))
                for beta in ("0.005", "0.01", "0.02")
            ),
        ):
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(tmp_path / path), array)
    return tmp_path


def test_conversion_keeps_empty_images_and_counts_from_one(tree):
    coco = convert_split(tree, "train").coco
    assert [image["id"] for image in coco["images"]] == [1, 2]
    assert [item["id"] for item in coco["annotations"]] == [1, 2]
    assert coco["images"][0]["file_name"] == "leftImg8bit/train/aachen/aachen_000000_000019_leftImg8bit.png"
    assert [category["name"] for category in coco["categories"]][:3] == ["person", "rider", "car"]


def test_three_fog_levels_give_every_image_three_times(tree):
    coco = convert_split(tree, "train", (0.005, 0.01, 0.02)).coco
    assert len(coco["images"]) == 6 and len(coco["annotations"]) == 6
    assert sum("beta_0.02" in image["file_name"] for image in coco["images"]) == 2


def test_command_prints_a_table_and_writes_json(tree):
    run = run_script("datasets/prepare_cityscapes.py", "--root", tree, "--foggy", "0.02", "--splits", "train")
    assert "| instances_train_foggy_0.02.json |        2 |        1 |" in run.stdout
    content = json.loads(annotation_file(tree, "train", (0.02,)).read_text())
    assert all("beta_0.02" in image["file_name"] for image in content["images"])


def test_bad_files_are_named_and_the_rest_is_converted(tree):
    broken = tree / "gtFine/train/aachen/aachen_000000_000019_gtFine_instanceIds.png"
    broken.write_bytes(b"no picture")
    missing = tree / "leftImg8bit/train/aachen/aachen_000001_000019_leftImg8bit.png"
    missing.unlink()
    run = run_script(REPOSITORY / "datasets/prepare_cityscapes.py", "--root", tree, "--splits", "train", check=False)
    assert run.returncode == 1
    assert str(broken) in run.stdout and str(missing) in run.stdout and "2 files could not be used" in run.stdout
    assert annotation_file(tree, "train").exists()


def test_wrong_root_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match="--root must be the folder that holds gtFine/"):
        convert_split(tmp_path, "train")
