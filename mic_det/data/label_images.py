"""Semantic segmentation datasets: pairs of an image and a label image with one class index per pixel, 255 for none."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from detectron2.data import DatasetCatalog, MetadataCatalog
from PIL import Image

from mic_det.data.files import IMAGE_SUFFIXES, find_files
from mic_det.data.images import decoding, upright
from mic_det.data.records import Record, Size
from mic_det.errors import UserError

IGNORE = 255


def register_segmentation(
    name: str,
    read_pairs: Callable[[], Iterable[tuple[Path, Path]]],
    read_images: Callable[[], Iterable[Path]],
    classes: Sequence[str],
    colours: Iterable[Sequence[int]] | None = None,
    label_root: Callable[[], Path] | None = None,
) -> None:
    """Register a labelled segmentation dataset; nothing is read before it is used.

    Args:
        name: dataset name for DATASETS.TRAIN, DATASETS.TARGET and DATASETS.TEST.
        read_pairs: () -> list of (image path, label path). Labels are one-channel 8-bit images of indices into `classes`, or 255.
        read_images: () -> list of image paths; it must not look at labels.
        classes: class names in the order of the indices.
        colours: one RGB triple per class for pictures; None gives a fixed palette.
        label_root: () -> folder that holds the labels and, beside them, the statistics for Rare Class Sampling; None for the
            folder that is common to all labels.
    """

    def read() -> list[Record]:
        return [
            {"file_name": str(image), "sem_seg_file_name": str(label), "image_id": index}
            for index, (image, label) in enumerate(read_pairs())
        ]

    def read_unlabelled() -> list[Record]:
        return [{"file_name": str(image), "image_id": index} for index, image in enumerate(read_images())]

    DatasetCatalog.register(name, read)
    MetadataCatalog.get(name).set(
        evaluator_type="sem_seg",
        stuff_classes=list(classes),
        stuff_colors=[tuple(colour) for colour in (colours or default_colours(len(classes)))],
        ignore_label=IGNORE,
        read_unlabelled=read_unlabelled,
        label_root=label_root,
    )


def default_colours(count: int) -> list[tuple[int, ...]]:
    """Distinct RGB triples: hues around the circle, alternately light and dark."""
    from colorsys import hsv_to_rgb

    values = [hsv_to_rgb(index / count, 0.75, 0.95 if index % 2 else 0.6) for index in range(count)]
    return [tuple(round(255 * part) for part in value) for value in values]


def find_images(folder: str | Path, suffix: str = "", cure: str = "") -> list[Path]:
    """Images below `folder` whose names end in `suffix` (any image type when empty), sorted.

    Raises:
        UserError: when the folder does not exist or holds none; `cure` ends the sentence.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"Folder {folder} does not exist.{cure}")
    found = find_files(folder, suffix or tuple(IMAGE_SUFFIXES))
    if not found:
        raise UserError(f"No image *{suffix} below {folder}.{cure}")
    return found


def find_pairs(
    image_folder: str | Path, label_folder: str | Path, image_suffix: str = "", label_suffix: str = ".png", cure: str = ""
) -> list[tuple[Path, Path]]:
    """(image, label) paths with the same path below both folders but for the suffixes.

    Raises:
        UserError: naming the first image without a label, or whose label it is itself, or when there are no images.
    """
    pairs = []
    for image in find_images(image_folder, image_suffix, cure):
        relative = str(image.relative_to(image_folder))
        # The suffix may be in upper case.
        base = relative[: -len(image_suffix or image.suffix)]
        pairs.append((image, Path(label_folder) / f"{base}{label_suffix}"))
    missing = [pair for pair in pairs if not pair[1].is_file()]
    if missing:
        image, label = missing[0]
        others = find_files(label_folder)
        hint = cure or (f" There is {others[0]}, for one: set `image_suffix` and `label_suffix`." if others else "")
        raise UserError(f"Image {image} has no label {label}; so have {len(missing)} of {len(pairs)} images none.{hint}")
    own = [image for image, label in pairs if label.samefile(image)]
    if own:
        raise UserError(f"Image {own[0]} would be its own label: set `image_suffix` and `label_suffix`, or another folder.")
    return pairs


def label_size(path: str | Path) -> Size:
    """(height, width) of a label image, from its header. Raises OSError when it is missing or broken."""
    with Image.open(path) as image:
        return image.height, image.width


def read_labels(path: str | Path, num_classes: int | None = None, size: Sequence[int] | None = None) -> np.ndarray:
    """Label image HxW uint8, upright like images.

    Args:
        num_classes: labels are below it, or IGNORE; None allows all.
        size: (height, width) of the image that is labelled; None allows any.

    Raises:
        OSError: when the file is missing or broken.
        ValueError: when the image has several channels, another size, numbers that are no class index or a label beyond the
            classes, or is a JPEG.
    """
    with decoding(path), Image.open(path) as image:
        kind, labels = image.format, np.array(upright(image))
    if labels.ndim != 2:
        raise ValueError(f"label image {path} has {labels.shape[2]} channels: it must hold one class index per pixel")
    if kind in ("JPEG", "MPO"):
        raise ValueError(f"label image {path} is a JPEG, whose compression changes labels: write them as PNG")
    if size is not None and labels.shape != tuple(size):
        found, wanted = (f"{shape[1]}x{shape[0]}" for shape in (labels.shape, size))
        raise ValueError(f"label image {path} has another size than its image: {found} instead of {wanted}")
    count = IGNORE if num_classes is None else num_classes
    right = (labels < count) & (labels >= 0) & (labels == labels.astype(np.int64)) if labels.dtype != np.uint8 else labels < count
    wrong = labels[~right & (labels != IGNORE)]
    if wrong.size:
        raise ValueError(f"label image {path} has the label {wrong[0]}, but there are {count} classes (and {IGNORE})")
    return labels.astype(np.uint8)
