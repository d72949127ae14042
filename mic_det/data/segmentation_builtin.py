"""The segmentation datasets that mic-det knows by name; datasets/README.md says where they come from."""

from pathlib import Path

from mic_det.data import camvid
from mic_det.data.catalog import resolve
from mic_det.data.cityscapes import fog_name
from mic_det.data.label_ids import CLASSES, COLOURS
from mic_det.data.label_images import find_images, find_pairs, register_segmentation
from mic_det.errors import UserError
from mic_det.toycity.writer import DEFAULT_BETAS


def register_tree(name, root, images, labels, image_suffix, label_suffix, prepare):
    """A dataset of the 19 classes whose images and labels lie in two trees below `root`; `labels` None for none."""
    cure = f" Make it with: {prepare}, see datasets/README.md." if prepare else " See datasets/README.md."
    register_segmentation(
        name,
        lambda: find_pairs(resolve(root) / images, resolve(root) / labels, image_suffix, label_suffix, cure),
        lambda: find_images(resolve(root) / images, image_suffix, cure),
        CLASSES,
        COLOURS,
        lambda: resolve(root),
    )


def register_cityscapes_tree(prefix, root, splits, prepare, betas=()):
    for split in splits:
        register_tree(
            *(f"{prefix}_{split}", root, f"leftImg8bit/{split}", f"gtFine/{split}"),
            *("_leftImg8bit.png", "_gtFine_labelTrainIds.png", prepare),
        )
        for fog in (*((beta,) for beta in betas), betas) if betas else ():
            register_foggy(f"{prefix}_foggy_{fog_name(fog)}_{split}", root, split, fog, prepare)


def register_foggy(name, root, split, betas, prepare):
    """Foggy images in the Cityscapes layout: every level in `betas` with the labels of the clear image."""
    cure = f" Make it with: {prepare}."

    def images():
        suffixes = tuple(f"_foggy_beta_{beta:g}.png" for beta in betas)
        return [
            path
            for path in find_images(resolve(root) / "leftImg8bit_foggy" / split, ".png", cure)
            if path.name.endswith(suffixes)
        ]

    def pairs():
        labels = resolve(root) / "gtFine" / split
        stems = [(path, path.name.split("_leftImg8bit_foggy")[0]) for path in images()]
        return [(path, labels / path.parent.name / f"{stem}_gtFine_labelTrainIds.png") for path, stem in stems]

    register_segmentation(name, pairs, images, CLASSES, COLOURS, lambda: resolve(root))


def register_semantic():
    command = "python datasets/prepare_{}_seg.py --root datasets/{}"
    register_cityscapes_tree("cityscapes_seg", "cityscapes", ("train", "val"), command.format("cityscapes", "cityscapes"))
    register_tree(*("gta_seg_train", "gta", "images", "labels", ".png", "_labelTrainIds.png"), command.format("gta", "gta"))
    register_tree(
        *("synthia_seg_train", "synthia", "RGB", "GT/LABELS", ".png", "_labelTrainIds.png"),
        command.format("synthia", "synthia"),
    )
    register_adverse("acdc_seg", "acdc", ("train", "val", "test"), command.format("acdc", "acdc"))
    register_adverse("darkzurich_seg", "dark_zurich", ("train", "val", "test"), command.format("darkzurich", "dark_zurich"))
    register_cityscapes_tree("toycity_seg", "toycity_seg", ("train", "val"), command.format("toycity", ""), DEFAULT_BETAS)
    register_cityscapes_tree("toycity_synthetic", "toycity_synthetic", ("train",), command.format("toycity", ""))
    for split in camvid.SPLITS:
        register_camvid(split)


def adverse_images(root, split, cure=""):
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


def adverse_pairs(root, split, cure=""):
    """(image, label) paths of `adverse_images`."""
    pairs = []
    for path in adverse_images(root, split, cure):
        relative = str(path.relative_to(Path(root) / "rgb_anon"))
        pairs.append((path, Path(root) / "gt" / relative.replace("_rgb_anon.png", "_gt_labelTrainIds.png")))
    return pairs


def register_adverse(prefix, root, splits, prepare):
    cure = f" Check it with: {prepare}."
    for split in splits:
        register_segmentation(
            f"{prefix}_{split}",
            lambda split=split: adverse_pairs(resolve(root), split, cure),
            lambda split=split: adverse_images(resolve(root), split, cure),
            *(CLASSES, COLOURS, lambda: resolve(root)),
        )


def register_camvid(split):
    cure = " Make it with: python datasets/prepare_camvid_seg.py --source CAMVID --root datasets/camvid."

    def pairs():
        return camvid.read_semantic_pairs(resolve("camvid"), split, cure)

    register_segmentation(
        *(f"camvid_seg_{split}", pairs, lambda: [image for image, _ in pairs()], camvid.SEMANTIC_CLASSES),
        camvid.SEMANTIC_COLOURS,
        lambda: resolve("camvid") / "semantic" / split,
    )
