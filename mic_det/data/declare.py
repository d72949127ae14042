"""Datasets declared in YAML (DATASETS.DECLARE), without code."""

import os
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

from detectron2.data import DatasetCatalog, MetadataCatalog

from mic_det.config.files import read_yaml
from mic_det.data import cityscapes, voc, yolo
from mic_det.data.catalog import register_folder, register_labelled, resolve
from mic_det.data.coco import load_json, read_folder, read_images
from mic_det.data.conversion import Conversion, report_bad_files
from mic_det.data.declaration import Cityscapes, ClassFolders, Coco, ImageList, Images, Labels, Voc, Yolo, read_entry
from mic_det.data.image_lists import register_class_folders, register_image_list
from mic_det.data.label_images import find_images, find_pairs, register_segmentation
from mic_det.data.records import Content, Item, Record
from mic_det.errors import UserError
from mic_det.validation import refuse

DECLARED: set[str] = set()


def declare(entries: str | Item | Iterable[str | Item]) -> None:
    """Register datasets, all or none.

    Args:
        entries: each a mapping that a class of `declaration.FORMATS` describes, or the path of a YAML file that holds a list of
            them; a relative path starts from the working directory.

    With `classes` and `mapping`, datasets with different names can be trained together. Declaring a name in another call
    replaces it.

    Raises:
        UserError: naming all entries and what is wrong with them.
    """
    found: list[Images] = []
    faults: list[str] = []
    for content in flattened([entries] if isinstance(entries, str | dict) else entries):
        entry, wrong = read_entry(content)
        if entry is not None:
            wrong = name_faults(entry.name, [other.name for other in found])
            found.append(entry)
        faults += wrong
    refuse("DATASETS.DECLARE", faults)
    for entry in found:
        register(entry)


def flattened(entries: Iterable[Any], around: tuple[Path, ...] = ()) -> Iterator[Any]:
    """The entries with those of the files that are named among them; `around` are the files that hold them."""
    for entry in entries:
        if not isinstance(entry, str):
            yield entry
            continue
        path = Path(os.path.expanduser(entry)).absolute()
        if path in around:
            raise UserError(f"DATASETS.DECLARE: file {path} lists itself.")
        content = read_yaml(path, "DATASETS.DECLARE: file")
        if not isinstance(content, list):
            raise UserError(f"DATASETS.DECLARE: file {path} must hold a list of datasets, each with a name, a format and images.")
        yield from flattened(content, (*around, path))


def name_faults(name: str, others: Collection[str]) -> list[str]:
    """Why a name cannot be given to a dataset, beside the names of the same declaration."""
    if name in others:
        return [f"dataset '{name}': this name is declared twice; choose another one"]
    if name in DatasetCatalog.list() and name not in DECLARED:
        return [f"dataset '{name}': this name is taken by a built-in or registered dataset; choose another one"]
    return []


def register(entry: Images) -> None:
    """Register one entry under its name, in the place of an earlier declaration."""
    name = entry.name
    if name in DECLARED:
        DatasetCatalog.remove(name)
        MetadataCatalog.remove(name)
    if isinstance(entry, Labels):
        declare_labels(entry)
    elif isinstance(entry, ImageList):
        register_image_list(name, entry.annotations, entry.images, entry.classes, resolve)
    elif isinstance(entry, ClassFolders):
        register_class_folders(name, entry.images, entry.classes, resolve)
    elif isinstance(entry, Coco | Cityscapes):
        read_content, read_unlabelled = readers(entry)
        # YOLO's own classes are numbers: the names are needed to read it, and the mapping may then join some of them.
        classes = None if isinstance(entry, Yolo) else entry.classes
        register_labelled(name, read_content, read_unlabelled, lambda: resolve(entry.images), classes, entry.mapping)
    else:
        register_folder(name, entry.images)
    DECLARED.add(name)


def declare_labels(entry: Labels) -> None:
    """`register` of a segmentation dataset."""

    def images() -> list[Path]:
        return find_images(resolve(entry.images), entry.image_suffix)

    def pairs() -> list[tuple[Path, Path]]:
        return find_pairs(resolve(entry.images), resolve(entry.annotations), entry.image_suffix, entry.label_suffix)

    register_segmentation(entry.name, pairs, images, entry.classes, label_root=lambda: resolve(entry.annotations))


def readers(entry: Coco | Cityscapes) -> tuple[Callable[[], Content], Callable[[], list[Record]]]:
    """(() -> COCO dictionary, () -> dataset dicts of images only) for one labelled detection format."""
    if isinstance(entry, Voc):
        split_file = (lambda: resolve(entry.split)) if entry.split else (lambda: None)
        return lambda: read_voc(entry, split_file()), lambda: voc_images(resolve(entry.images), split_file())
    if isinstance(entry, Yolo):
        return (
            lambda: checked(yolo.convert_yolo(resolve(entry.images), resolve(entry.annotations), entry.classes), entry.name),
            lambda: read_folder(resolve(entry.images)),
        )
    if isinstance(entry, Cityscapes):
        return (
            lambda: checked(cityscapes.convert_split(resolve(entry.images), entry.split), entry.name),
            lambda: read_folder(resolve(entry.images) / "leftImg8bit" / entry.split),
        )
    return (
        lambda: load_json(resolve(entry.annotations)),
        lambda: read_images(resolve(entry.annotations), resolve(entry.images)),
    )


def checked(result: Conversion, name: str) -> Content:
    """The COCO dictionary of a Conversion, after its bad files were reported."""
    report_bad_files(result, name)
    if not result.coco["images"]:
        raise UserError(f"Dataset '{name}' has no usable image: all {len(result.bad_files)} files are missing or unreadable.")
    return result.coco


def read_voc(entry: Voc, split_file: Path | None) -> Content:
    """The COCO dictionary of a VOC entry."""
    annotations, images = resolve(entry.annotations), resolve(entry.images)
    # A small dataset may lack a wanted class.
    classes = tuple(dict.fromkeys([*voc.find_classes(annotations), *(entry.classes or ())]))
    return checked(voc.convert_voc(annotations, images, classes, split_file), entry.name)


def voc_images(images: Path, split_file: Path | None) -> list[Record]:
    """Dataset dicts of a VOC entry's images that exist; no label is read."""
    found = [path for _, path in voc.list_images(images, split_file) if path]
    return [{"file_name": str(path), "image_id": index} for index, path in enumerate(found, start=1)]
