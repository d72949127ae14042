"""ToyCity's objects as images: what is cut out, and that domains and splits share no street."""

import cv2
import numpy as np

from mic_det.data.cityscapes import CLASSES
from mic_det.toycity.crops import DOMAINS, MIN_SIDE, object_crops, write_crops


def read(folder):
    return {path.relative_to(folder).as_posix(): cv2.imread(str(path)) for path in sorted(folder.rglob("*.png"))}


def test_an_object_is_cut_out_with_its_surroundings():
    ids = np.zeros((60, 100), dtype=np.uint16)
    ids[20:40, 30:70] = 26001  # a car of 40 x 20 pixels
    ids[0:10, 0:10] = 24000  # a person that is too small
    image = np.arange(60 * 100 * 3, dtype=np.uint8).reshape(60, 100, 3)
    ((name, crop),) = object_crops(image, ids)
    assert name == "car" and np.array_equal(crop, image[10:50, 20:80])  # a quarter of 40 pixels on every side
    ids[20:40, 30:70] = 0
    ids[50:60, 80:100] = 33002  # at the border
    ((name, crop),) = object_crops(image, ids)
    assert name == "bicycle" and np.array_equal(crop, image[45:, 75:]) and MIN_SIDE == 16


def test_streets_repeat_and_are_shared_by_nobody(tmp_path):
    for name in ("one", "two"):
        write_crops(tmp_path / name, {"train": 3, "val": 3}, size=(256, 128))
    found, again = read(tmp_path / "one"), read(tmp_path / "two")
    assert found.keys() == again.keys() and all(np.array_equal(image, again[name]) for name, image in found.items())
    parts = {f"{domain}/{split}" for domain in DOMAINS for split in ("train", "val")}
    assert {"/".join(name.split("/")[:2]) for name in found} == parts
    assert {path.name for path in (tmp_path / "one/clear/val").iterdir()} == set(CLASSES)
    pictures = [image.tobytes() for image in found.values()]
    assert len(set(pictures)) == len(pictures)


def test_fog_takes_contrast(tmp_path):
    write_crops(tmp_path, {"train": 6}, size=(256, 128), betas=(0.2,))
    spread = {domain: np.mean([image.std() for image in read(tmp_path / domain).values()]) for domain in DOMAINS}
    assert spread["foggy"] < 0.8 * spread["clear"]
