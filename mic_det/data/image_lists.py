"""Image classification datasets: text files with a path and a label per line, and folders with one subfolder per class."""

import logging
from pathlib import Path

from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.utils.logger import log_first_n

from mic_det.data.coco import IMAGE_SUFFIXES
from mic_det.errors import UserError


def register_classification(name, read_items, read_images, classes=None):
    """Register a labelled classification dataset; nothing is read before it is used.

    Args:
        name: dataset name for DATASETS.TRAIN, DATASETS.TARGET and DATASETS.TEST.
        read_items: () -> (list of (image path, class index), class names).
        read_images: () -> list of image paths; it must not look at labels.
        classes: class names where they are known without reading.
    """

    def read():
        items, found = read_items()
        # Not MetadataCatalog.set(): the datasets' folder may have changed since the last reading.
        MetadataCatalog.get(name).__dict__["thing_classes"] = list(found)
        return [{**record, "label": label} for record, (_, label) in zip(records(path for path, _ in items), items, strict=True)]

    DatasetCatalog.register(name, read)
    MetadataCatalog.get(name).set(evaluator_type="classification", read_unlabelled=lambda: records(read_images()))
    MetadataCatalog.get(name).set(known_classes=list(classes or ()))


def records(paths):
    return [{"file_name": str(path), "image_id": index} for index, path in enumerate(paths)]


def read_lines(list_file, cure=""):
    """Non-empty lines of a list. Raises UserError when it does not exist or is empty; `cure` ends the sentence."""
    if not Path(list_file).is_file():
        raise UserError(f"Image list {list_file} does not exist.{cure}")
    lines = [line.strip() for line in Path(list_file).read_text().splitlines() if line.strip()]
    if not lines:
        raise UserError(f"Image list {list_file} is empty.{cure}")
    return lines


def list_images(list_file, root, cure=""):
    """Image paths of a list, whose last word, the label, is cut off without being looked at."""
    return [Path(root) / line.rsplit(None, 1)[0] for line in read_lines(list_file, cure)]


def read_list(list_file, root, classes=None, cure=""):
    """([(image path, class index)], class names) of a list with a relative or absolute path and a label per line.

    The last word of a line is the label, so paths may contain spaces. Lines whose label is no class index are counted,
    reported and left out.

    Args:
        root: folder that relative paths start from.
        classes: names in the order of the labels; None takes the names of the images' folders.

    Raises:
        UserError: when no line can be used, or folders and labels contradict each other.
    """
    items, faulty = [], []
    for line in read_lines(list_file, cure):
        path, _, label = line.rpartition(" ")
        known = label.isascii() and label.isdigit() and (classes is None or int(label) < len(classes))
        if path and known:
            items.append((Path(root) / path.strip(), int(label)))
        else:
            faulty.append(line)
    if faulty:
        # Once: a run reads its datasets again for every evaluation and picture.
        message = f"{list_file}: {len(faulty)} lines left out because they do not end in a class index, e.g. '{faulty[0]}'."
        log_first_n(logging.WARNING, message, key="message")
    if not items:
        raise UserError(f"No line of {list_file} ends in a class index, as in 'Art/Bed/00001.jpg 8'.")
    return items, list(classes) if classes else folder_names(items, list_file)


def folder_names(items, list_file):
    """Class names of labelled images: the name of the folder that holds the images of each label."""
    names = {}
    for path, label in items:
        other = names.setdefault(label, path.parent.name)
        if other != path.parent.name:
            raise UserError(
                f"{list_file}: label {label} stands for the folders '{other}' and '{path.parent.name}': name the `classes` "
                "instead."
            )
    missing = [label for label in range(max(names) + 1) if label not in names]
    if missing:
        raise UserError(
            f"{list_file}: no image has the label {missing[0]}, so its class has no name: name the `classes` instead."
        )
    return [names[label] for label in range(len(names))]


def read_class_folders(folder, classes=None, cure=""):
    """([(image path, class index)], class names) of a folder with one subfolder of images per class, in alphabetical order.

    Args:
        classes: names of the subfolders to use, in the wanted order; None takes all in alphabetical order.

    Raises:
        UserError: when the folder or one of the classes is missing, or there is no image.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"Folder {folder} does not exist.{cure}")
    found = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    classes = list(classes) if classes else found
    absent = [name for name in classes if name not in found]
    if absent:
        raise UserError(f"Folder {folder} has no subfolder '{absent[0]}'; it has {', '.join(found) or 'none'}.")
    items = [
        (path, label)
        for label, name in enumerate(classes)
        for path in sorted((folder / name).rglob("*"))
        if path.suffix.lower() in IMAGE_SUFFIXES
    ]
    if not items:
        raise UserError(f"No image below {folder}: it needs one subfolder of images per class.{cure}")
    return items, classes


def register_image_list(name, list_file, root, classes=None, resolve=Path, cure=""):
    """Register a list; see `read_list`. `resolve` turns both paths into absolute ones when they are used."""
    register_classification(
        name,
        lambda: read_list(resolve(list_file), resolve(root), classes, cure),
        lambda: list_images(resolve(list_file), resolve(root), cure),
        classes,
    )


def register_class_folders(name, folder, classes=None, resolve=Path, cure=""):
    """Register a folder; see `read_class_folders`."""

    def read():
        return read_class_folders(resolve(folder), classes, cure)

    register_classification(name, read, lambda: [path for path, _ in read()[0]], classes)
