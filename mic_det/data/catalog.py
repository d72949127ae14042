"""Names for datasets. `register_coco` and `register_folder` are all that a new dataset needs."""

import os
from pathlib import Path

from detectron2.data import DatasetCatalog, MetadataCatalog

from mic_det.data import camvid, cityscapes
from mic_det.data.coco import read_coco, read_folder, read_images
from mic_det.errors import UserError, did_you_mean
from mic_det.toycity.writer import DEFAULT_BETAS


def root():
    """The folder that holds all datasets: $DETECTRON2_DATASETS, or ./datasets."""
    return Path(os.path.expanduser(os.environ.get("DETECTRON2_DATASETS", "datasets")))


def resolve(path):
    """Absolute paths stay; relative ones lie below the datasets' folder."""
    return root() / path


def register_coco(name, json_file, image_root, classes=None, prepare=None):
    """Register a labelled COCO dataset; nothing is read before it is used.

    Args:
        name: dataset name for DATASETS.TRAIN, DATASETS.TARGET and DATASETS.TEST.
        json_file, image_root: absolute, or relative to $DETECTRON2_DATASETS (default ./datasets).
        classes: class names in the order of the category ids; None takes them from the file.
        prepare: the command that makes the file, quoted when it is missing.
    """

    def read():
        cure = f" Make it with: {prepare.format(root=root())}" if prepare else ""
        records, names = read_coco(resolve(json_file), resolve(image_root), classes, cure)
        # Not MetadataCatalog.set(): the datasets' folder may have changed since the last reading.
        metadata.__dict__.update(thing_classes=names, json_file=str(resolve(json_file)), image_root=str(resolve(image_root)))
        return records

    def read_unlabelled():
        cure = f" Make it with: {prepare.format(root=root())}" if prepare else ""
        return read_images(resolve(json_file), resolve(image_root), cure)

    DatasetCatalog.register(name, read)
    metadata = MetadataCatalog.get(name)
    metadata.set(evaluator_type="coco", read_unlabelled=read_unlabelled)


def register_folder(name, folder):
    """Register a folder of unlabelled images."""

    def read():
        return read_folder(resolve(folder))

    DatasetCatalog.register(name, read)
    MetadataCatalog.get(name).set(read_unlabelled=read)


def load_labelled(name):
    """Dataset dicts with annotations. Raises UserError for an unknown name or a dataset without labels."""
    if name not in DatasetCatalog.list():
        raise UserError(f"Dataset '{name}' is not registered.{did_you_mean(name, DatasetCatalog.list())}")
    records = DatasetCatalog.get(name)
    if not any("annotations" in record for record in records):
        raise UserError(f"Dataset '{name}' has no labels: it can serve as DATASETS.TARGET, not for training or evaluation.")
    return records


def class_names(name, count):
    """Class names of a registered dataset, or the numbers 0 to `count` - 1 where its labels are not on this machine."""
    try:
        load_labelled(name)
        return list(MetadataCatalog.get(name).thing_classes)
    except UserError:
        return [str(index) for index in range(count)]


def load_unlabelled(name):
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


def register_cityscapes_layout(prefix, folder, betas, prepare):
    """`{prefix}_{train,val}` and `{prefix}_foggy_{beta,all}_{train,val}` for a root in the Cityscapes layout."""
    for split in ("train", "val"):
        for fog in ((), *((beta,) for beta in betas), betas):
            json_file = cityscapes.annotation_file(folder, split, fog)
            middle = f"_foggy_{cityscapes.fog_name(fog)}" if fog else ""
            command = prepare.format(root="{root}", fog=f" --foggy {cityscapes.fog_name(fog)}" if fog else "")
            register_coco(f"{prefix}{middle}_{split}", json_file, folder, cityscapes.CLASSES, command)


def register_builtin():
    register_cityscapes_layout(
        *("cityscapes", "cityscapes", cityscapes.FOGGY_BETAS),
        prepare="python datasets/prepare_cityscapes.py --root {root}/cityscapes{fog}",
    )
    register_cityscapes_layout(
        *("toycity", "toycity", DEFAULT_BETAS),
        prepare="python datasets/prepare_toycity.py --root {root}/toycity",
    )
    for split in ("day_train", "day_val", "dusk_train", "dusk_test"):
        register_coco(
            *(f"camvid_{split}", f"camvid/annotations/{split}.json", "camvid", camvid.CLASSES),
            prepare="python datasets/prepare_camvid.py --source CAMVID --root {root}/camvid",
        )
