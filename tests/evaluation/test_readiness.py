"""What would make the first evaluation fail is found before training."""

import shutil

import cv2
import numpy as np
import pytest

from mic_det.data.declare import declare
from mic_det.errors import UserError
from mic_det.evaluation import check_evaluation
from mic_det.tasks import task_of


@pytest.fixture
def streets(toycity, tmp_path):
    """A labelled segmentation dataset of two images, declared as `streets`."""
    files = {"images": ("leftImg8bit", "_leftImg8bit.png"), "labels": ("gtFine", "_gtFine_labelTrainIds.png")}
    for kind, (folder, suffix) in files.items():
        (tmp_path / kind).mkdir()
        for path in sorted((toycity / "toycity_seg" / folder / "val/toyport").glob(f"*{suffix}"))[:2]:
            shutil.copy(path, tmp_path / kind / path.name.replace(suffix, ".png"))
    names = [f"c{index}" for index in range(19)]
    paths = {"images": str(tmp_path / "images"), "annotations": str(tmp_path / "labels")}
    declare([{"name": "streets", "format": "labels", "classes": names, **paths}])
    return tmp_path


def check(cfg):
    check_evaluation(task_of(cfg), cfg)


def test_good_data_pass(tiny_cfg, tiny_seg_cfg, tiny_cls_cfg, streets):
    for cfg in (tiny_cfg(), tiny_seg_cfg("DATASETS.TEST", ("streets",)), tiny_cls_cfg(), tiny_cfg("DATASETS.TEST", ())):
        check(cfg)


def test_one_usable_image_is_enough_and_none_is_an_error(tiny_seg_cfg, streets):
    cfg = tiny_seg_cfg("DATASETS.TEST", ("streets",))
    images, labels = (sorted((streets / kind).iterdir()) for kind in ("images", "labels"))
    images[0].write_bytes(b"no image")
    check(cfg)
    cv2.imwrite(str(labels[1]), np.zeros((5, 5), np.uint8))
    with pytest.raises(
        UserError, match=r"DATASETS\.TEST: none of the 2 images of 'streets' can be evaluated, e\.g\. .*no image|e\.g\."
    ):
        check(cfg)


def test_other_classes_are_an_error_for_an_evaluation_alone(tiny_seg_cfg, streets):
    with pytest.raises(UserError, match=r"SEM_SEG_HEAD\.NUM_CLASSES is 7, but 'streets' has 19 classes"):
        check(tiny_seg_cfg("DATASETS.TEST", ("streets",), "MODEL.SEM_SEG_HEAD.NUM_CLASSES", 7))
