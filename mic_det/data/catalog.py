"""Names for datasets. In code, `register_coco` and `register_folder` are all that a new dataset needs."""

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from detectron2.data import DatasetCatalog, MetadataCatalog

from mic_det.data.box_checks import odd_boxes
from mic_det.data.classes import category_names, select_classes
from mic_det.data.coco import labelled_records, load_json, read_folder, read_images, usable_content
from mic_det.data.faults import Faults
from mic_det.data.records import Content, Record
from mic_det.errors import UserError, did_you_mean


def root() -> Path:
    """The folder that holds all datasets: $DETECTRON2_DATASETS, or ./datasets."""
    return Path(os.path.expanduser(os.environ.get("DETECTRON2_DATASETS", "datasets")))


def resolve(path: str | Path) -> Path:
    """Absolute paths stay; relative ones lie below the datasets' folder."""
    return root() / path


def register_labelled(
    name: str,
    read_content: Callable[[], Content],
    read_unlabelled: Callable[[], list[Record]],
    image_root: Callable[[], Path],
    classes: Sequence[str] | None = None,
    mapping: Mapping[str, str] | None = None,
) -> None:
    """Register a labelled dataset of any format; nothing is read before it is used.

    Args:
        name: dataset name for DATASETS.TRAIN, DATASETS.TARGET and DATASETS.TEST.
        read_content: () -> COCO dictionary.
        read_unlabelled: () -> dataset dicts of images only; it must not look at labels.
        image_root: () -> folder that the dictionary's file names are relative to.
        classes, mapping: see `select_classes`.
    """

    def inspect() -> tuple[Content, Faults]:
        """The COCO dictionary that is used, and Faults of what it leaves out and of its boxes."""
        content, faults = usable_content(read_content(), name, image_root())
        content = select_classes(content, name, classes, mapping)
        faults.merge(odd_boxes(content))
        return content, faults

    def truth() -> Content:
        content, faults = inspect()
        faults.report(name)
        return content

    def read() -> list[Record]:
        content = truth()
        # Not MetadataCatalog.set(): the datasets' folder may have changed since the last reading.
        metadata.__dict__["thing_classes"] = category_names(content)
        return labelled_records(content, image_root())

    DatasetCatalog.register(name, read)
    metadata = MetadataCatalog.get(name)
    metadata.set(evaluator_type="coco", inspect=inspect, truth=truth, read_unlabelled=read_unlabelled, image_root=image_root)
    metadata.set(known_classes=list(classes or ()))


def register_coco(
    name: str,
    json_file: str | Path,
    image_root: str | Path,
    classes: Sequence[str] | None = None,
    mapping: Mapping[str, str] | None = None,
    prepare: str | None = None,
) -> None:
    """Register a labelled COCO dataset; nothing is read before it is used.

    Args:
        name: dataset name for DATASETS.TRAIN, DATASETS.TARGET and DATASETS.TEST.
        json_file, image_root: absolute, or relative to $DETECTRON2_DATASETS (default ./datasets).
        classes: names of the classes to use, in the wanted order; None takes all in the order of the category ids.
        mapping: {class name in the file: wanted name}, where they differ.
        prepare: the command that makes the file, quoted when it is missing.
    """

    def cure() -> str:
        return f" Make it with: {prepare.format(root=root())}" if prepare else ""

    register_labelled(
        name,
        lambda: load_json(resolve(json_file), cure()),
        lambda: read_images(resolve(json_file), resolve(image_root), cure()),
        lambda: resolve(image_root),
        classes,
        mapping,
    )


def register_folder(name: str, folder: str | Path) -> None:
    """Register a folder of unlabelled images."""

    def read() -> list[Record]:
        return read_folder(resolve(folder))

    DatasetCatalog.register(name, read)
    MetadataCatalog.get(name).set(read_unlabelled=read)


def load_labelled(name: str) -> list[Record]:
    """Dataset dicts with annotations. Raises UserError for an unknown name or a dataset without labels."""
    if name not in DatasetCatalog.list():
        raise UserError(f"Dataset '{name}' is not registered.{did_you_mean(name, DatasetCatalog.list())}")
    records = DatasetCatalog.get(name)
    if not any(key in record for record in records for key in ("annotations", "sem_seg_file_name", "label")):
        raise UserError(f"Dataset '{name}' has no labels: it can serve as DATASETS.TARGET, not for training or evaluation.")
    return records


def load_truth(name: str) -> Content:
    """COCO dictionary of a dataset with boxes, as evaluation sees it. Raises UserError as `load_labelled` does."""
    load_labelled(name)
    check_truth(name)
    return MetadataCatalog.get(name).truth()


def check_truth(name: str) -> None:
    """Raise UserError unless a registered dataset has boxes that mic-det's evaluation can read."""
    if not hasattr(MetadataCatalog.get(name), "truth"):
        raise UserError(f"Dataset '{name}' has no boxes to evaluate on: register it with `register_coco` or DATASETS.DECLARE.")


def class_names(name: str, count: int) -> list[str]:
    """Names of a model's `count` classes: those of a registered dataset, or numbers where it has others or is not to be had."""
    names = known_classes(name) if name in DatasetCatalog.list() else []
    return names if len(names) == count else [str(index) for index in range(count)]


def known_classes(name: str) -> list[str]:
    """Class names that a dataset was registered with, without reading it, otherwise those of its labels; [] without either."""
    metadata = MetadataCatalog.get(name)
    registered = metadata.get("known_classes") or metadata.get("stuff_classes")
    if registered:
        return list(registered)
    with contextlib.suppress(UserError, OSError):  # detectron2's own datasets raise the latter and may have names all the same
        load_labelled(name)
    return list(metadata.get("thing_classes", ()))


def load_unlabelled(name: str) -> list[Record]:
    """Dataset dicts of images only.

    `name` is a registered dataset, a folder of images, or a COCO JSON whose file names are relative to its own folder or
    to that folder's parent. Images without objects stay, and no label is read.
    """
    if name in DatasetCatalog.list():
        read = MetadataCatalog.get(name).get("read_unlabelled")
        keep = ("file_name", "image_id", "height", "width")
        return read() if read else [{key: record[key] for key in keep if key in record} for record in DatasetCatalog.get(name)]
    path = Path(name).expanduser()
    if path.is_dir():
        return read_folder(path)
    if path.suffix == ".json":
        records = read_images(path, path.parent)
        return records if Path(records[0]["file_name"]).exists() else read_images(path, path.parent.parent)
    raise UserError(
        f"DATASETS.TARGET names '{name}', which is neither a registered dataset nor a folder nor a .json file."
        + did_you_mean(name, DatasetCatalog.list())
    )
