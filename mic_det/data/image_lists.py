"""Image classification datasets: text files with a path and a label per line, and folders with one subfolder per class."""

import logging
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path

from detectron2.data import DatasetCatalog, MetadataCatalog
from detectron2.utils.logger import log_first_n

from mic_det.data.files import IMAGE_SUFFIXES, find_files
from mic_det.data.records import Record
from mic_det.errors import UserError, did_you_mean

# An image's path, and behind a space, a tab, a comma or a semicolon its label; CSV puts quotes around paths with commas.
LINE = re.compile(r"""(?P<path>".+?"|'.+?'|.+?)\s*[\s,;]\s*["']?(?P<label>[^\s,;"']+)["']?""")

Labelled = tuple[Path, int]  # an image and its class index


def register_classification(
    name: str,
    read_items: Callable[[], tuple[list[Labelled], list[str]]],
    read_images: Callable[[], Iterable[Path]],
    classes: Sequence[str] | None = None,
) -> None:
    """Register a labelled classification dataset; nothing is read before it is used.

    Args:
        name: dataset name for DATASETS.TRAIN, DATASETS.TARGET and DATASETS.TEST.
        read_items: () -> (list of (image path, class index), class names).
        read_images: () -> list of image paths; it must not look at labels.
        classes: class names where they are known without reading.
    """

    def read() -> list[Record]:
        items, found = read_items()
        # Not MetadataCatalog.set(): the datasets' folder may have changed since the last reading.
        MetadataCatalog.get(name).__dict__["thing_classes"] = list(found)
        return [{**record, "label": label} for record, (_, label) in zip(records(path for path, _ in items), items, strict=True)]

    DatasetCatalog.register(name, read)
    MetadataCatalog.get(name).set(evaluator_type="classification", read_unlabelled=lambda: records(read_images()))
    MetadataCatalog.get(name).set(known_classes=list(classes or ()))


def records(paths: Iterable[Path]) -> list[Record]:
    """Dataset dicts of unlabelled images."""
    return [{"file_name": str(path), "image_id": index} for index, path in enumerate(paths)]


def read_lines(list_file: str | Path, cure: str = "") -> list[str]:
    """Lines of a list without empty ones and comments, which begin with #.

    Raises:
        UserError: when it does not exist, is no text or is empty; `cure` ends the sentence.
    """
    if not Path(list_file).is_file():
        raise UserError(f"Image list {list_file} does not exist.{cure}")
    try:
        # utf-8-sig: spreadsheets begin a file with a byte order mark.
        text = Path(list_file).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"Image list {list_file} cannot be read as UTF-8 text: {error}.") from None
    lines = [line.strip() for line in text.split("\n") if line.strip() and not line.lstrip().startswith("#")]
    if not lines:
        raise UserError(f"Image list {list_file} is empty.{cure}")
    return lines


def image_path(root: str | Path, text: str) -> Path:
    """An absolute path of a list's entry, which may begin with ~ and stand in quotes."""
    return Path(root) / Path(text.strip("\"'")).expanduser()


def list_images(list_file: str | Path, root: str | Path, cure: str = "") -> list[Path]:
    """Image paths of a list, once each; a label behind a path is cut off without being looked at."""
    paths = []
    for line in read_lines(list_file, cure):
        found = LINE.fullmatch(line)
        alone = Path(line.strip("\"'")).suffix.lower() in IMAGE_SUFFIXES
        paths.append(image_path(root, line if found is None or alone else found["path"]))
    once = list(dict.fromkeys(paths))
    if len(once) < len(paths):
        say(f"{list_file}: {len(paths) - len(once)} lines left out because their image stands there already.")
    return once


def read_list(
    list_file: str | Path, root: str | Path, classes: Sequence[str] | None = None, cure: str = ""
) -> tuple[list[Labelled], list[str]]:
    """([(image path, class index)], class names) of a list with a relative or absolute path and a label per line.

    The last word of a line is the label, so paths may contain spaces; see LINE. Lines whose label is no class index, and images
    that stand there again, are counted, reported and left out.

    Args:
        root: folder that relative paths start from.
        classes: names in the order of the labels; None takes the names of the images' folders.

    Raises:
        UserError: when no line can be used, labels count from 1, an image has two labels, or folders and labels contradict each
            other.
    """
    lines = read_lines(list_file, cure)
    matches = [LINE.fullmatch(line) for line in lines]
    labels = [int(found["label"]) if found and re.fullmatch("[0-9]+", found["label"]) else None for found in matches]
    known = [label for label in labels if label is not None]
    check_first_label(list_file, known, classes)
    by_path: dict[Path, int] = {}
    faulty = []
    for line, found, label in zip(lines, matches, labels, strict=True):
        if found is None or label is None or (classes is not None and label >= len(classes)):
            faulty.append(line)
            continue
        path = image_path(root, found["path"])
        if by_path.setdefault(path, label) != label:
            raise UserError(f"{list_file}: image {path} has the labels {by_path[path]} and {label}.")
    if faulty:
        say(f"{list_file}: {len(faulty)} lines left out because they do not end in a class index, e.g. '{faulty[0]}'.")
    if not by_path:
        raise UserError(f"No line of {list_file} ends in a class index, as in 'Art/Bed/00001.jpg 8'.")
    again = len(lines) - len(faulty) - len(by_path)
    if again:
        say(f"{list_file}: {again} lines left out because their image stands there already.")
    items = list(by_path.items())
    names = list(classes) if classes else folder_names(items, list_file)
    report_unused(items, names, list_file)
    return items, names


def say(message: str) -> None:
    """Warn once: a run reads its datasets again for every evaluation and picture."""
    log_first_n(logging.WARNING, message, key="message")


def check_first_label(list_file: str | Path, labels: Collection[int], classes: Sequence[str] | None) -> None:
    """Raise UserError when the labels count from 1: K classes would be shifted by one, and the last be left out."""
    if labels and min(labels) == 1 and (classes is None or max(labels) >= len(classes)):
        raise UserError(f"{list_file}: its labels are 1 to {max(labels)}, but class indices start at 0: take 1 from each.")


def report_unused(items: Iterable[Labelled], classes: Sequence[str], where: str | Path) -> None:
    """Say which classes have no image."""
    found = Counter(label for _, label in items)
    unused = [name for index, name in enumerate(classes) if not found[index]]
    if unused:
        say(f"{where}: no image of {len(unused)} of the {len(classes)} classes, e.g. '{unused[0]}'.")


def folder_names(items: Iterable[Labelled], list_file: str | Path) -> list[str]:
    """Class names of labelled images: the name of the folder that holds the images of each label."""
    names: dict[int, str] = {}
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


def read_class_folders(
    folder: str | Path, classes: Sequence[str] | None = None, cure: str = ""
) -> tuple[list[Labelled], list[str]]:
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
    names = list(classes) if classes else found
    absent = [name for name in names if name not in found]
    if absent:
        hint = did_you_mean(absent[0], found)
        raise UserError(f"Folder {folder} has no subfolder '{absent[0]}'; it has {', '.join(found) or 'none'}.{hint}")
    items = [(path, label) for label, name in enumerate(names) for path in find_files(folder / name)]
    if not items:
        raise UserError(f"No image below {folder}: it needs one subfolder of images per class.{cure}")
    report_unused(items, names, folder)
    others = [name for name in found if name not in names]
    passed_over = sum(len(find_files(folder / name)) for name in others)
    if passed_over:
        say(f"{folder}: {passed_over} images in subfolders that `classes` does not name left out: {', '.join(others)}.")
    loose = sum(path.suffix.lower() in IMAGE_SUFFIXES for path in folder.iterdir() if not path.name.startswith("."))
    if loose:
        say(f"{folder}: {loose} images beside the classes' subfolders left out.")
    return items, names


def register_image_list(
    name: str,
    list_file: str | Path,
    root: str | Path,
    classes: Sequence[str] | None = None,
    resolve: Callable[[str | Path], Path] = Path,
    cure: str = "",
) -> None:
    """Register a list; see `read_list`. `resolve` turns both paths into absolute ones when they are used."""
    register_classification(
        name,
        lambda: read_list(resolve(list_file), resolve(root), classes, cure),
        lambda: list_images(resolve(list_file), resolve(root), cure),
        classes,
    )


def register_class_folders(
    name: str,
    folder: str | Path,
    classes: Sequence[str] | None = None,
    resolve: Callable[[str | Path], Path] = Path,
    cure: str = "",
) -> None:
    """Register a folder; see `read_class_folders`."""

    def read() -> tuple[list[Labelled], list[str]]:
        return read_class_folders(resolve(folder), classes, cure)

    register_classification(name, read, lambda: [path for path, _ in read()[0]], classes)
