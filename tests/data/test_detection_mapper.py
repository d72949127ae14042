import numpy as np
import pytest
import torch
from detectron2.data import detection_utils
from detectron2.data import transforms as T

from mic_det.data.catalog import load_labelled, load_unlabelled
from mic_det.data.detection_mapper import TrainingMapper
from mic_det.data.stream import seeded


def test_labelled_sample_matches_its_image_after_a_flip(tiny_cfg):
    record = load_labelled("toycity_train")[0]
    plain = TrainingMapper([T.NoOpTransform()], "BGR", labelled=True)(record)
    flipped = TrainingMapper([T.RandomFlip(1.0)], "BGR", labelled=True)(record)
    assert torch.equal(
        plain["image"], torch.from_numpy(detection_utils.read_image(record["file_name"], "BGR").transpose(2, 0, 1).copy())
    )
    assert torch.equal(flipped["image"], plain["image"].flip(2))
    boxes, width = plain["instances"].gt_boxes.tensor, plain["image"].shape[2]
    expected = torch.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], dim=1)
    torch.testing.assert_close(flipped["instances"].gt_boxes.tensor, expected)
    assert len(boxes) == len(record["annotations"]) > 0


def test_unlabelled_sample_has_no_labels_even_if_the_record_has(tiny_cfg):
    cfg = tiny_cfg()
    labelled, unlabelled = load_labelled("toycity_foggy_0.045_train")[0], load_unlabelled("toycity_foggy_0.045_train")[0]
    mapper = TrainingMapper(cfg, labelled=False)
    with seeded(0):
        first = mapper(labelled)
    with seeded(0):
        second = mapper(unlabelled)
    assert set(first) == set(second) == {"image", "file_name", "image_id", "height", "width"}
    assert torch.equal(first["image"], second["image"])


def test_colour_jitter_changes_only_labelled_images_and_only_when_asked(tiny_cfg):
    record = load_labelled("toycity_train")[0]

    def load(strength, labelled):
        with seeded(4):
            return TrainingMapper(tiny_cfg("INPUT.COLOR_JITTER", strength, "INPUT.RANDOM_FLIP", "none"), labelled)(record)[
                "image"
            ]

    images = load(0.0, True), load(0.5, True)
    assert torch.equal(load(0.5, False), images[0])
    assert not torch.equal(*images)
    assert np.corrcoef(*(image.float().flatten().numpy() for image in images))[0, 1] > 0.8


def test_wrong_size_in_the_annotations_is_an_error(tiny_cfg):
    record = {**load_unlabelled("toycity_train")[0], "width": 999}
    with pytest.raises(detection_utils.SizeMismatchError):
        TrainingMapper(tiny_cfg(), labelled=False)(record)


def test_masks_are_kept_only_for_mask_heads(tiny_cfg):
    record = load_labelled("toycity_train")[0]
    for item in record["annotations"]:
        x, y, w, h = item["bbox"]
        item["segmentation"] = [[x, y, x + w, y, x + w, y + h]]
    assert not TrainingMapper(tiny_cfg(), labelled=True)(record)["instances"].has("gt_masks")
    assert TrainingMapper(tiny_cfg("MODEL.MASK_ON", True), labelled=True)(record)["instances"].has("gt_masks")
