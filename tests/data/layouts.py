"""Tiny datasets in the exact public layouts, made by hand."""

import cv2
import numpy as np


def write_image(path, size=(60, 80)):
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.random.default_rng(len(str(path))).integers(0, 255, (*size, 3), dtype=np.uint8))
    return path


def write_text(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def voc_xml(objects, size=(60, 80)):
    """objects: (name, xmin, ymin, xmax, ymax, difficult)."""
    body = "".join(
        f"<object><name>{name}</name><pose>Unspecified</pose><truncated>0</truncated><difficult>{difficult}</difficult>"
        f"<bndbox><xmin>{x0}</xmin><ymin>{y0}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox></object>"
        for name, x0, y0, x1, y1, difficult in objects
    )
    return f"<annotation><size><width>{size[1]}</width><height>{size[0]}</height><depth>3</depth></size>{body}</annotation>"


def write_voc(root, splits, objects=(("car", 1, 1, 20, 20, 0), ("person", 30, 10, 49, 59, 1)), suffix=".jpg"):
    """`JPEGImages`, `Annotations` and `ImageSets/Main/<split>.txt`; splits: {split: names}."""
    for split, names in splits.items():
        write_text(root / f"ImageSets/Main/{split}.txt", "".join(f"{name}\n" for name in names))
        for name in names:
            write_image(root / f"JPEGImages/{name}{suffix}")
            write_text(root / f"Annotations/{name}.xml", voc_xml(objects))
    return root
