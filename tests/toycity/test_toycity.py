import hashlib
import json
from collections import Counter

import cv2
import numpy as np
import pytest

from mic_det.data.cityscapes import CLASSES
from mic_det.toycity import add_fog, ids, render, sample_scene
from mic_det.toycity.background import FAR, SKY_DEPTH
from tests.conftest import run_script

FRAMES = 60


@pytest.fixture(scope="module")
def frames():
    return [render(sample_scene((0, 0, index))) for index in range(FRAMES)]


def digest(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return [(path.relative_to(folder), hashlib.sha256(path.read_bytes()).hexdigest()) for path in files]


def test_same_seed_same_bytes_whatever_the_workers(tmp_path):
    for name, workers in (("a", 1), ("b", 2)):
        run_script(
            *("datasets/prepare_toycity.py", "--root", tmp_path / name, "--size", "128x64", "--train", 3, "--val", 2),
            *("--workers", workers, "--betas", "0.02"),
        )
    assert digest(tmp_path / "a") == digest(tmp_path / "b")
    first, second = (render(sample_scene((seed, 0, 0)), 128, 64).image for seed in (0, 1))
    assert not np.array_equal(first, second)


def test_the_tree_is_that_of_cityscapes(toycity):
    root = toycity / "toycity"
    name = "train/toytown/toytown_000000_000019"
    shapes = {
        f"leftImg8bit/{name}_leftImg8bit.png": ((64, 128, 3), np.uint8),
        f"leftImg8bit_foggy/{name}_leftImg8bit_foggy_beta_0.045.png": ((64, 128, 3), np.uint8),
        f"gtFine/{name}_gtFine_instanceIds.png": ((64, 128), np.uint16),
        f"gtFine/{name}_gtFine_labelIds.png": ((64, 128), np.uint8),
        f"gtFine/{name}_gtFine_labelTrainIds.png": ((64, 128), np.uint8),
        f"depth/{name}_depth.png": ((64, 128), np.uint16),
    }
    for path, (shape, kind) in shapes.items():
        image = cv2.imread(str(root / path), cv2.IMREAD_UNCHANGED)
        assert image.shape == shape and image.dtype == kind, path
    assert {path.parent.name for path in (root / "leftImg8bit/val").rglob("*.png")} == {"toyport"}


def test_instance_ids_follow_cityscapes(frames):
    for frame in frames:
        objects = frame.instance_ids >= 1000
        assert np.array_equal(frame.instance_ids[objects] // 1000, frame.label_ids[objects])
        assert np.array_equal(frame.instance_ids[~objects], frame.label_ids[~objects])
        assert set(np.unique(frame.instance_ids[objects] // 1000)) <= set(ids.INSTANCES.values())
        for label in np.unique(frame.instance_ids[objects] // 1000):
            numbers = np.unique(frame.instance_ids[frame.instance_ids // 1000 == label]) % 1000
            assert numbers.tolist() == list(range(len(numbers)))


def test_train_ids_agree_with_the_published_table():
    table = {7: 0, 8: 1, 11: 2, 12: 3, 13: 4, 17: 5, 19: 6, 20: 7, 21: 8, 22: 9, 23: 10, 24: 11, 25: 12, 26: 13, 27: 14, 28: 15}
    table |= {31: 16, 32: 17, 33: 18}
    assert all(ids.TRAIN_IDS[label] == table.get(label, 255) for label in range(256))


def test_all_classes_exist_with_plausible_frequencies(frames):
    names = {value: name for name, value in ids.INSTANCES.items()}
    found = Counter(names[int(value) // 1000] for frame in frames for value in np.unique(frame.instance_ids) if value >= 1000)
    assert set(found) == set(CLASSES)
    assert found["car"] == max(found.values()) and found["train"] == min(found.values())
    assert 4 < sum(found.values()) / FRAMES < 12


def test_scenes_hold_streets_crowds_and_occlusion(frames):
    labels = np.concatenate([frame.label_ids.ravel() for frame in frames])
    share = {label: np.mean(labels == label) for label in (ids.ROAD, ids.BUILDING, ids.SKY, ids.VEGETATION, ids.SIDEWALK)}
    assert all(value > 0.02 for value in share.values()) and share[ids.ROAD] > 0.2
    assert any(((frame.instance_ids >= 24) & (frame.instance_ids <= 33)).any() for frame in frames), "no group region"
    hidden = [user for frame in range(FRAMES) for user in sample_scene((0, 0, frame)).road_users]
    visible = sum(len(np.unique(frame.instance_ids[frame.instance_ids >= 1000])) for frame in frames)
    assert visible < len(hidden) + sum(user.kind == "rider" for user in hidden), "nothing is ever hidden"


def test_riders_sit_on_something(frames):
    """Below nearly every rider is a two-wheeler; a few have theirs hidden by what stands in front."""
    two_wheelers, seated = {ids.INSTANCES["bicycle"], ids.INSTANCES["motorcycle"]}, []
    for frame in frames:
        for value in np.unique(frame.instance_ids[frame.instance_ids // 1000 == ids.INSTANCES["rider"]]):
            rows, columns = np.nonzero(frame.instance_ids == value)
            around = frame.label_ids[rows.min() : rows.max() + 8, max(columns.min() - 6, 0) : columns.max() + 7]
            seated.append(bool(two_wheelers & set(np.unique(around).tolist())))
    assert len(seated) > 20 and np.mean(seated) > 0.9


def test_depth_is_consistent(frames):
    for frame in frames:
        assert (frame.depth[frame.label_ids == ids.SKY] == SKY_DEPTH).all()
        assert frame.depth.min() > 0 and frame.depth[frame.label_ids != ids.SKY].max() <= FAR
        for value in np.unique(frame.instance_ids[frame.instance_ids >= 1000]):
            assert len(np.unique(frame.depth[frame.instance_ids == value])) == 1
        road = np.where(frame.label_ids == ids.ROAD, frame.depth, np.nan)[64:]
        rows = np.nanmean(road, axis=1)
        assert (np.diff(rows[~np.isnan(rows)]) < 0).all(), "the road comes nearer towards the bottom"


def test_fog_follows_the_optical_model():
    image = np.array([[[100, 50, 200]]], np.uint8)
    airlight = (220.0, 210.0, 200.0)
    for beta, depth in ((0.02, 0.0), (0.02, 50.0), (0.065, 30.0), (0.02, 1e6)):
        t = np.exp(-beta * depth)
        expected = [100 * t + 220 * (1 - t), 50 * t + 210 * (1 - t), 200 * t + 200 * (1 - t)]
        assert np.abs(add_fog(image, np.array([[depth]]), beta, airlight)[0, 0] - expected).max() <= 0.5 + 1e-4


def test_larger_sizes_show_the_same_scene():
    small, large = (render(sample_scene((0, 0, 3)), width, width // 2) for width in (256, 1024))
    assert large.image.shape == (512, 1024, 3)
    shrunk = large.label_ids[2::4, 2::4]
    assert np.mean(shrunk == small.label_ids) > 0.93
    grey = [
        cv2.GaussianBlur(cv2.resize(frame.image, (128, 64), interpolation=cv2.INTER_AREA), (0, 0), 2) for frame in (small, large)
    ]
    assert np.corrcoef(grey[0].ravel(), grey[1].ravel())[0, 1] > 0.95


def test_annotations_match_the_label_images(toycity):
    content = json.loads((toycity / "toycity/annotations/instances_val.json").read_text())
    image = content["images"][0]
    stem = image["file_name"].removeprefix("leftImg8bit/").removesuffix("_leftImg8bit.png")
    instance_ids = cv2.imread(str(toycity / f"toycity/gtFine/{stem}_gtFine_instanceIds.png"), cv2.IMREAD_UNCHANGED)
    own = [item for item in content["annotations"] if item["image_id"] == image["id"]]
    assert len(own) == len(np.unique(instance_ids[instance_ids >= 1000]))
    assert sum(item["area"] for item in own) == np.count_nonzero(instance_ids >= 1000)


@pytest.mark.parametrize(("option", "value"), [("--size", "9000x10"), ("--size", "big"), ("--train", "0")])
def test_wrong_arguments_are_explained(tmp_path, option, value):
    run = run_script("datasets/prepare_toycity.py", "--root", tmp_path, option, value, check=False)
    assert run.returncode != 0 and "Traceback" not in run.stderr and option in run.stderr
