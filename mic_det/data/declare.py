"""Datasets declared in YAML (DATASETS.DECLARE), without code."""

from pathlib import Path

import yaml
from detectron2.data import DatasetCatalog, MetadataCatalog

from mic_det.data import cityscapes, voc, yolo
from mic_det.data.catalog import register_folder, register_labelled, resolve
from mic_det.data.coco import load_json, read_folder, read_images
from mic_det.data.conversion import report_bad_files
from mic_det.data.image_lists import register_class_folders, register_image_list
from mic_det.data.label_images import find_images, find_pairs, register_segmentation
from mic_det.errors import UserError, did_you_mean

# format -> keys it needs beside name, format and images
FORMATS = {
    "coco": ("annotations",),
    "voc": ("annotations",),
    "yolo": ("annotations", "classes"),
    "cityscapes": ("split",),
    "labels": ("annotations", "classes"),
    "image_list": ("annotations",),
    "class_folders": (),
    "images": (),
}
KEYS = ("name", "format", "images", "annotations", "split", "classes", "mapping", "image_suffix", "label_suffix")
DECLARED = set()


def declare(entries):
    """Register every entry: a mapping with KEYS, or the path of a YAML file that holds a list of them.

    `images` and `annotations` are absolute or lie below $DETECTRON2_DATASETS:

    * coco: `annotations` is a COCO JSON file;
    * voc: `annotations` is a folder of XML files, `split` an optional list of image names;
    * yolo: `annotations` is a folder of text files like the images' tree, `classes` the names of their class numbers;
    * cityscapes: `images` is the folder that holds gtFine/ and leftImg8bit/, `split` train or val;
    * labels: for segmentation; `annotations` is a folder of label images (one class index per pixel, 255 for none) like the
      images' tree, `classes` their names; with `image_suffix` and `label_suffix` where names differ by more than .png;
    * image_list: for classification; `annotations` is a text file with an image's path below `images` and its class index per
      line, `classes` the names of the indices (by default those of the images' folders);
    * class_folders: for classification; `images` has one subfolder per class, which `classes` may choose and order;
    * images: no labels.

    `classes` names the classes to use, in order; `mapping` renames a dataset's own ({its name: wanted name}), so that
    datasets with different names can be trained together. Declaring a name again replaces it.

    Raises:
        UserError: naming the entry and what is wrong with it.
    """
    for entry in entries:
        if isinstance(entry, str):
            declare(read_declarations(entry))
        else:
            declare_one(entry)


def read_declarations(path):
    try:
        content = yaml.safe_load(Path(path).read_text())
    except FileNotFoundError:
        raise UserError(f"DATASETS.DECLARE: file {path} does not exist.") from None
    except yaml.YAMLError as error:
        raise UserError(f"DATASETS.DECLARE: file {path} is not valid YAML: {str(error).splitlines()[0]}.") from None
    if not isinstance(content, list):
        raise UserError(f"DATASETS.DECLARE: file {path} must hold a list of datasets, each with a name, a format and images.")
    return content


def check_entry(entry):
    name = entry.get("name") if isinstance(entry, dict) else None
    if not name:
        raise UserError(f"DATASETS.DECLARE: {entry} is not a dataset: it needs at least a name, a format and images.")
    where = f"DATASETS.DECLARE, dataset '{name}'"
    kind = entry.get("format")
    if kind not in FORMATS:
        raise UserError(f"{where}: format '{kind}' is not known; choose from {', '.join(FORMATS)}.{did_you_mean(kind, FORMATS)}")
    unknown = [key for key in entry if key not in KEYS]
    if unknown:
        raise UserError(f"{where}: unknown key '{unknown[0]}'.{did_you_mean(unknown[0], KEYS)}")
    missing = [key for key in ("images", *FORMATS[kind]) if not entry.get(key)]
    if missing:
        raise UserError(f"{where}: a dataset of format {kind} needs '{missing[0]}'.")
    if name in DatasetCatalog.list() and name not in DECLARED:
        raise UserError(f"{where}: this name is taken by a built-in or registered dataset; choose another one.")
    return name, kind


def declare_one(entry):
    name, kind = check_entry(entry)
    if name in DECLARED:
        DatasetCatalog.remove(name)
        MetadataCatalog.remove(name)
    images = entry["images"]
    if kind == "images":
        register_folder(name, images)
    elif kind == "labels":
        declare_labels(entry)
    elif kind == "image_list":
        register_image_list(name, entry["annotations"], images, entry.get("classes"), resolve)
    elif kind == "class_folders":
        register_class_folders(name, images, entry.get("classes"), resolve)
    else:
        read_content, read_unlabelled = readers(kind, entry)
        # YOLO's own classes are numbers: the names are needed to read it, and the mapping may then join some of them.
        classes = None if kind == "yolo" else entry.get("classes")
        register_labelled(name, read_content, read_unlabelled, lambda: resolve(images), classes, entry.get("mapping"))
    DECLARED.add(name)


def declare_labels(entry):
    def images():
        return find_images(resolve(entry["images"]), entry.get("image_suffix", ""))

    def pairs():
        suffixes = entry.get("image_suffix", ""), entry.get("label_suffix", ".png")
        return find_pairs(resolve(entry["images"]), resolve(entry["annotations"]), *suffixes)

    register_segmentation(entry["name"], pairs, images, entry["classes"], label_root=lambda: resolve(entry["annotations"]))


def readers(kind, entry):
    """(() -> COCO dictionary, () -> dataset dicts of images only) for one labelled format."""
    images, annotations, split = entry["images"], entry.get("annotations"), entry.get("split")
    if kind == "coco":
        return lambda: load_json(resolve(annotations)), lambda: read_images(resolve(annotations), resolve(images))
    if kind == "voc":
        split_file = (lambda: resolve(split)) if split else (lambda: None)
        return lambda: read_voc(entry, split_file()), lambda: voc_images(resolve(images), split_file())
    if kind == "yolo":
        classes = entry["classes"]
        return (
            lambda: checked(yolo.convert_yolo(resolve(images), resolve(annotations), classes), entry["name"]),
            lambda: read_folder(resolve(images)),
        )
    return (
        lambda: checked(cityscapes.convert_split(resolve(images), split), entry["name"]),
        lambda: read_folder(resolve(images) / "leftImg8bit" / split),
    )


def checked(result, name):
    """The COCO dictionary of a Conversion, after its bad files were reported."""
    report_bad_files(result, name)
    if not result.coco["images"]:
        raise UserError(f"Dataset '{name}' has no usable image: all {len(result.bad_files)} files are missing or unreadable.")
    return result.coco


def read_voc(entry, split_file):
    annotations, images = resolve(entry["annotations"]), resolve(entry["images"])
    # A small dataset may lack a wanted class.
    classes = tuple(dict.fromkeys([*voc.find_classes(annotations), *(entry.get("classes") or ())]))
    return checked(voc.convert_voc(annotations, images, classes, split_file), entry["name"])


def voc_images(images, split_file):
    found = [path for _, path in voc.list_images(images, split_file) if path]
    return [{"file_name": str(path), "image_id": index} for index, path in enumerate(found, start=1)]
