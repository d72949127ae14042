"""The classification benchmarks that mic-det knows by name."""

from mic_det.data.catalog import resolve
from mic_det.data.cityscapes import CLASSES as TOYCITY_CLASSES
from mic_det.data.image_lists import (
    list_images,
    read_class_folders,
    read_list,
    register_class_folders,
    register_classification,
    register_image_list,
)

VISDA_CLASSES = (
    *("aeroplane", "bicycle", "bus", "car", "horse", "knife", "motorcycle", "person", "plant", "skateboard", "train", "truck"),
)
OFFICE_HOME = {"Ar": "Art", "Cl": "Clipart", "Pr": "Product", "Rw": "Real_World"}
DOMAINNET = ("clipart", "infograph", "painting", "quickdraw", "real", "sketch")
CURE = " datasets/README.md says where it comes from."


def register_list_or_folder(name, root, list_name, folder, classes=None):
    """`root/image_list/<list_name>.txt` where it exists, otherwise `root/<folder>` with one subfolder per class."""

    def listed():
        return resolve(root) / f"image_list/{list_name}.txt"

    def read():
        if listed().is_file():
            return read_list(listed(), resolve(root), classes)
        return read_class_folders(resolve(root) / folder, classes, CURE)

    def images():
        return list_images(listed(), resolve(root)) if listed().is_file() else [path for path, _ in read()[0]]

    register_classification(name, read, images, classes)


def register_classification_builtin():
    for split in ("train", "validation"):
        register_list_or_folder(f"visda2017_{split}", "visda-2017", split, split, VISDA_CLASSES)
    for short, folder in OFFICE_HOME.items():
        register_list_or_folder(f"officehome_{short}", "office-home", folder, folder)
    for domain in DOMAINNET:
        for split in ("train", "test"):
            register_image_list(
                f"domainnet_{domain}_{split}", f"domainnet/image_list/{domain}_{split}.txt", "domainnet", None, resolve, CURE
            )
    cure = " Make it with: python datasets/prepare_toycity_cls.py --root datasets."
    for domain in ("clear", "foggy"):
        for split in ("train", "val"):
            folder = f"toycity_cls/{domain}/{split}"
            register_class_folders(f"toycity_cls_{domain}_{split}", folder, TOYCITY_CLASSES, resolve, cure)
