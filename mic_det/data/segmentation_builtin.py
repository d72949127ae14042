"""The segmentation datasets that mic-det knows by name; datasets/README.md says where they come from."""

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

from mic_det.data import camvid
from mic_det.data.catalog import resolve
from mic_det.data.cityscapes import fog_name
from mic_det.data.label_ids import CLASSES, COLOURS
from mic_det.data.label_images import find_images, find_pairs, register_segmentation
from mic_det.errors import UserError


def register_tree(name: str, root: str, images: str, labels: str, image_suffix: str, label_suffix: str, prepare: str) -> None:
    """A dataset of the 19 classes whose images and labels lie in two trees below `root`.

    Args:
        root: below the datasets' folder.
        images, labels: the trees, below the root.
        image_suffix, label_suffix: ends of the file names; what stands before is the same for an image and its label.
        prepare: the command that makes the labels, for the message when they are missing.
    """
    cure = f" Make it with: {prepare}, see datasets/README.md." if prepare else " See datasets/README.md."
    register_segmentation(
        name,
        lambda: find_pairs(resolve(root) / images, resolve(root) / labels, image_suffix, label_suffix, cure),
        lambda: find_images(resolve(root) / images, image_suffix, cure),
        CLASSES,
        COLOURS,
        lambda: resolve(root),
    )


def register_cityscapes_tree(prefix: str, root: str, splits: Iterable[str], prepare: str, betas: tuple[float, ...] = ()) -> None:
    """`{prefix}_{split}` for a root in the Cityscapes layout, and `{prefix}_foggy_{beta,all}_{split}` where there is fog."""
    for split in splits:
        register_tree(
            *(f"{prefix}_{split}", root, f"leftImg8bit/{split}", f"gtFine/{split}"),
            *("_leftImg8bit.png", "_gtFine_labelTrainIds.png", prepare),
        )
        for fog in (*((beta,) for beta in betas), betas) if betas else ():
            register_foggy(f"{prefix}_foggy_{fog_name(fog)}_{split}", root, split, fog, prepare)


def register_foggy(name: str, root: str, split: str, betas: tuple[float, ...], prepare: str) -> None:
    """Foggy images in the Cityscapes layout: every level in `betas` with the labels of the clear image."""
    cure = f" Make it with: {prepare}."

    def images() -> list[Path]:
        suffixes = tuple(f"_foggy_beta_{beta:g}.png" for beta in betas)
        return [
            path
            for path in find_images(resolve(root) / "leftImg8bit_foggy" / split, ".png", cure)
            if path.name.endswith(suffixes)
        ]

    def pairs() -> list[tuple[Path, Path]]:
        labels = resolve(root) / "gtFine" / split
        stems = [(path, path.name.split("_leftImg8bit_foggy")[0]) for path in images()]
        return [(path, labels / path.parent.name / f"{stem}_gtFine_labelTrainIds.png") for path, stem in stems]

    register_segmentation(name, pairs, images, CLASSES, COLOURS, lambda: resolve(root))


def register_semantic() -> None:
    """Register every published segmentation data set that mic-det knows. Reads no file."""
    command = "mic-det prepare {}-seg --root datasets/{}"
    register_cityscapes_tree("cityscapes_seg", "cityscapes", ("train", "val"), command.format("cityscapes", "cityscapes"))
    register_tree(*("gta_seg_train", "gta", "images", "labels", ".png", "_labelTrainIds.png"), command.format("gta", "gta"))
    register_tree(
        *("synthia_seg_train", "synthia", "RGB", "GT/LABELS", ".png", "_labelTrainIds.png"),
        command.format("synthia", "synthia"),
    )
    register_adverse("acdc_seg", "acdc", ("train", "val", "test"), command.format("acdc", "acdc"))
    register_adverse("darkzurich_seg", "dark_zurich", ("train", "val", "test"), command.format("darkzurich", "dark_zurich"))
    for split in camvid.SPLITS:
        register_camvid(split)


def adverse_images(root: str | Path, split: str, cure: str = "") -> list[Path]:
    """ACDC's or Dark Zurich's images: `rgb_anon/<condition>/<split>/...`, or `rgb_anon/<split>/...` as the published code has it.

    Raises:
        UserError: when there are none.
    """
    found = find_images(Path(root) / "rgb_anon", "_rgb_anon.png", cure)
    # Dark Zurich's day and twilight images, and ACDC's clear ones ("_ref"), are references, not target.
    own = [path for path in found if {split, "day", "twilight", f"{split}_ref"} & set(path.parts) == {split}]
    if not own:
        raise UserError(f"No {split} image *_rgb_anon.png below {root}/rgb_anon.{cure}")
    return own


def adverse_pairs(root: str | Path, split: str, cure: str = "") -> list[tuple[Path, Path]]:
    """(image, label) paths of `adverse_images`."""
    pairs = []
    for path in adverse_images(root, split, cure):
        relative = str(path.relative_to(Path(root) / "rgb_anon"))
        pairs.append((path, Path(root) / "gt" / relative.replace("_rgb_anon.png", "_gt_labelTrainIds.png")))
    return pairs


def at_root(read: Callable[[Path, str, str], list], root: str, split: str, cure: str) -> list:
    """What `read` finds below the data root of the moment."""
    return read(resolve(root), split, cure)


def register_adverse(prefix: str, root: str, splits: Iterable[str], prepare: str) -> None:
    """`{prefix}_{split}` for ACDC's or Dark Zurich's layout below `root`."""
    cure = f" Check it with: {prepare}."
    for split in splits:
        register_segmentation(
            f"{prefix}_{split}",
            partial(at_root, adverse_pairs, root, split, cure),
            partial(at_root, adverse_images, root, split, cure),
            *(CLASSES, COLOURS, lambda: resolve(root)),
        )


def register_camvid(split: str) -> None:
    """`camvid_seg_{split}`, of CamVid's own eleven classes."""
    cure = " Make it with: mic-det prepare camvid-seg --source CAMVID --root datasets/camvid."

    def pairs() -> list[tuple[Path, Path]]:
        return camvid.read_semantic_pairs(resolve("camvid"), split, cure)

    register_segmentation(
        *(f"camvid_seg_{split}", pairs, lambda: [image for image, _ in pairs()], camvid.SEMANTIC_CLASSES),
        camvid.SEMANTIC_COLOURS,
        lambda: resolve("camvid") / "semantic" / split,
    )
