"""The classification benchmarks that mic-det knows by name."""

from collections.abc import Sequence
from pathlib import Path

from mic_det.data.catalog import resolve
from mic_det.data.image_lists import (
    list_images,
    read_class_folders,
    read_list,
    register_classification,
    register_image_list,
)

VISDA_CLASSES = (
    *("aeroplane", "bicycle", "bus", "car", "horse", "knife", "motorcycle", "person", "plant", "skateboard", "train", "truck"),
)
OFFICE_HOME = {"Ar": "Art", "Cl": "Clipart", "Pr": "Product", "Rw": "Real_World"}
DOMAINNET = ("clipart", "infograph", "painting", "quickdraw", "real", "sketch")
CURE = " datasets/README.md says where it comes from."


def register_list_or_folder(name: str, root: str, list_name: str, folder: str, classes: Sequence[str] | None = None) -> None:
    """`root/image_list/<list_name>.txt` where it exists, otherwise `root/<folder>` with one subfolder per class."""

    def listed() -> Path:
        return resolve(root) / f"image_list/{list_name}.txt"

    def read() -> tuple[list[tuple[Path, int]], list[str]]:
        if listed().is_file():
            return read_list(listed(), resolve(root), classes)
        return read_class_folders(resolve(root) / folder, classes, CURE)

    def images() -> list[Path]:
        return list_images(listed(), resolve(root)) if listed().is_file() else [path for path, _ in read()[0]]

    register_classification(name, read, images, classes)


def register_classification_builtin() -> None:
    """Register every published classification data set that mic-det knows. Reads no file."""
    for split in ("train", "validation"):
        register_list_or_folder(f"visda2017_{split}", "visda-2017", split, split, VISDA_CLASSES)
    for short, folder in OFFICE_HOME.items():
        register_list_or_folder(f"officehome_{short}", "office-home", folder, folder)
    for domain in DOMAINNET:
        for split in ("train", "test"):
            register_image_list(
                f"domainnet_{domain}_{split}", f"domainnet/image_list/{domain}_{split}.txt", "domainnet", None, resolve, CURE
            )
