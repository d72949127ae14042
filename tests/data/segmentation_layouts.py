"""Tiny segmentation datasets in the public datasets' exact layouts. The label ids of a file come from its number."""

import cv2
import numpy as np
from PIL import Image

SIZE = (8, 12)


def write(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), array)


def image(path):
    write(path, np.full((*SIZE, 3), 90, dtype=np.uint8))


def columns(*ids):
    """HxW label ids, equally wide columns of each."""
    return np.repeat(np.array(ids), SIZE[1] // len(ids))[None].repeat(SIZE[0], 0)


def write_gta(root):
    """Palette images, as the game's labels are: the ids are palette indices, not colours."""
    for number, ids in ((1, (7, 11)), (2, (23, 26, 33))):
        image(root / f"images/{number:05d}.png")
        label = Image.fromarray(columns(*ids).astype(np.uint8), mode="P")
        label.putpalette(np.random.default_rng(0).integers(0, 256, 768, dtype=np.uint8).tobytes())
        path = root / f"labels/{number:05d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        label.save(path)


def write_synthia(root):
    """16-bit RGB: the class in red, the instance in green."""
    for number, ids in ((0, (3, 2)), (1, (1, 8, 22))):
        image(root / f"RGB/{number:07d}.png")
        classes = columns(*ids)
        rgb = np.stack([classes, np.full_like(classes, 300), np.zeros_like(classes)], axis=2).astype(np.uint16)
        write(root / f"GT/LABELS/{number:07d}.png", rgb[..., ::-1])


def write_cityscapes(root):
    for split, city in (("train", "aachen"), ("val", "munster")):
        for number, ids in ((0, (7, 24)), (1, (0, 8, 33))):
            stem = f"{split}/{city}/{city}_{number:06d}_000019"
            image(root / f"leftImg8bit/{stem}_leftImg8bit.png")
            write(root / f"gtFine/{stem}_gtFine_labelIds.png", columns(*ids).astype(np.uint8))


def write_acdc(root):
    """Conditions, splits, sequences; `_ref` splits hold the same places in clear weather and no labels."""
    for condition in ("fog", "night"):
        for split in ("train", "val", "test", "train_ref"):
            stem = f"{condition}/{split}/GOPR01/GOPR01_frame_{condition}_{split}"
            image(root / f"rgb_anon/{stem}_rgb_anon.png")
            if split in ("train", "val"):
                write(root / f"gt/{stem}_gt_labelTrainIds.png", columns(0, 11, 255).astype(np.uint8))


def write_dark_zurich(root):
    for time in ("night", "day", "twilight"):
        image(root / f"rgb_anon/train/{time}/GOPR03/GOPR03_frame_{time}_rgb_anon.png")
    for split, stem in (("val", "val/night/GOPR04/GOPR04_frame_1"), ("test", "test/night/GOPR05/GOPR05_frame_1")):
        image(root / f"rgb_anon/{stem}_rgb_anon.png")
        if split == "val":
            write(root / f"gt/{stem}_gt_labelTrainIds.png", columns(10, 13).astype(np.uint8))


def write_camvid(root):
    """The public layout: `train/`, `trainannot/` and so on; sequence 0001TP is dusk."""
    for split in ("train", "val", "test"):
        for name in ("0001TP_1", "0006R0_1"):
            if split == "val" and name.startswith("0001TP"):
                continue
            image(root / split / f"{name}.png")
            write(root / f"{split}annot/{name}.png", columns(0, 3, 11).astype(np.uint8))
