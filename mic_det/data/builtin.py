"""The datasets that mic-det knows by name; datasets/README.md says where they come from and how they are prepared."""

from collections.abc import Iterable

from mic_det.data import bdd100k, camvid, cityscapes, voc
from mic_det.data.catalog import register_coco
from mic_det.data.classification_builtin import register_classification_builtin
from mic_det.data.segmentation_builtin import register_semantic


def register_cityscapes_layout(prefix: str, folder: str, betas: tuple[float, ...], prepare: str) -> None:
    """`{prefix}_{train,val}` and `{prefix}_foggy_{beta,all}_{train,val}` for a root in the Cityscapes layout.

    Args:
        folder: the root, below the datasets' folder.
        betas: attenuation coefficients of the fog, one for each level.
        prepare: the command that makes the annotations; `{fog}` becomes its option for foggy ones.
    """
    for split in ("train", "val"):
        for fog in ((), *((beta,) for beta in betas), betas):
            json_file = cityscapes.annotation_file(folder, split, fog)
            middle = f"_foggy_{cityscapes.fog_name(fog)}" if fog else ""
            command = prepare.format(root="{root}", fog=f" --foggy {cityscapes.fog_name(fog)}" if fog else "")
            register_coco(f"{prefix}{middle}_{split}", json_file, folder, cityscapes.CLASSES, prepare=command)


def register_cityscapes_subsets() -> None:
    """Cityscapes with cars only, and without trains, as the partner of Sim10k and KITTI, and of BDD100K."""
    for split in ("train", "val"):
        for name, classes in (("car", ("car",)), ("7", bdd100k.CLASSES)):
            register_coco(
                *(f"cityscapes_{name}_{split}", f"cityscapes/annotations/instances_{split}.json", "cityscapes", classes),
                prepare="mic-det prepare cityscapes --root {root}/cityscapes",
            )


def register_voc_layout(name: str, splits: Iterable[str], classes: tuple[str, ...], folder: str | None = None) -> None:
    """`{name}_{split}` for a dataset prepared by `mic-det prepare voc` in `folder`."""
    folder = folder or name
    for split in splits:
        register_coco(
            *(f"{name}_{split}", f"{folder}/annotations/instances_{split}.json", folder, classes),
            prepare=f"mic-det prepare voc --dataset {folder} --root {{root}}/{folder}",
        )


def register_builtin() -> None:
    """Register every published data set that mic-det knows, for all tasks. Reads no file."""
    register_cityscapes_layout(
        *("cityscapes", "cityscapes", cityscapes.FOGGY_BETAS),
        prepare="mic-det prepare cityscapes --root {root}/cityscapes{fog}",
    )
    register_cityscapes_subsets()
    for split in camvid.SPLITS:
        register_coco(
            *(f"camvid_{split}", f"camvid/annotations/{split}.json", "camvid", camvid.CLASSES),
            prepare="mic-det prepare camvid --source CAMVID --root {root}/camvid",
        )
    register_coco(
        *("sim10k_car_train", "sim10k/annotations/instances_train.json", "sim10k", ("car",)),
        prepare="mic-det prepare sim10k --root {root}/sim10k",
    )
    register_coco(
        *("kitti_car_train", "kitti/annotations/instances_train.json", "kitti", ("car",), {"Car": "car"}),
        prepare="mic-det prepare kitti --root {root}/kitti",
    )
    for split in ("train", "val"):
        register_coco(
            *(f"bdd100k_day_{split}", f"bdd100k/annotations/instances_day_{split}.json", "bdd100k", bdd100k.CLASSES),
            prepare="mic-det prepare bdd100k --root {root}/bdd100k",
        )
    register_voc_layout("voc_0712", ("trainval",), voc.CLASSES, "voc")
    register_voc_layout("voc_0712_6", ("trainval",), voc.ART_CLASSES, "voc")
    register_voc_layout("clipart", ("train", "test", "all"), voc.CLASSES)
    register_voc_layout("watercolor", ("train", "test"), voc.ART_CLASSES)
    register_voc_layout("comic", ("train", "test"), voc.ART_CLASSES)
    register_semantic()
    register_classification_builtin()
