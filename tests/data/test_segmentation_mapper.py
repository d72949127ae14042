import cv2
import numpy as np
import pytest
import torch
from PIL import Image

import mic_det
from mic_det.data.augmentation import ResizeToFit
from mic_det.data.label_images import find_pairs, read_labels
from mic_det.data.segmentation_mapper import SegmentationMapper, SegmentationTestMapper, valid_mask
from mic_det.data.stream import StreamDataset
from mic_det.errors import UserError
from tests.data.image_files import exif, turned, write_tiff


@pytest.mark.parametrize(
    ("shape", "box", "expected"),
    [
        ((1052, 1914), (1280, 720), (704, 1280)),
        ((1052, 1914), (2560, 1440), (1407, 2560)),
        ((760, 1280), (1280, 760), (760, 1280)),
        ((1024, 2048), (1024, 512), (512, 1024)),
        ((1080, 1920), (960, 540), (540, 960)),
    ],
)
def test_published_sizes(shape, box, expected):
    image = np.zeros((*shape, 3), np.uint8)
    assert ResizeToFit(box).get_transform(image).apply_image(image).shape[:2] == expected


def test_resizing_is_opencvs():
    rng = np.random.default_rng(0)
    image, labels = rng.integers(0, 256, (40, 60, 3), dtype=np.uint8), rng.integers(0, 19, (40, 60), dtype=np.uint8)
    transform = ResizeToFit((30, 20)).get_transform(image)
    np.testing.assert_array_equal(transform.apply_image(image), cv2.resize(image, (30, 20), interpolation=cv2.INTER_LINEAR))
    np.testing.assert_array_equal(
        transform.apply_segmentation(labels), cv2.resize(labels, (30, 20), interpolation=cv2.INTER_NEAREST)
    )
    smoothed = np.asarray(Image.fromarray(image).resize((30, 20), Image.BILINEAR))
    assert np.abs(smoothed.astype(int) - transform.apply_image(image)).max() > 10  # PIL averages over more pixels


@pytest.fixture
def record(tmp_path):
    """Every pixel's colour tells its label, so that image and label can be compared after any augmentation."""
    labels = np.zeros((30, 40), np.uint8)
    labels[:, 20:], labels[10:20, 5:15] = 1, 2
    labels[0] = 255
    image = np.zeros((30, 40, 3), np.uint8)
    image[..., 0] = labels
    cv2.imwrite(str(tmp_path / "i.png"), image[..., ::-1])
    cv2.imwrite(str(tmp_path / "l.png"), labels)
    return {"file_name": str(tmp_path / "i.png"), "sem_seg_file_name": str(tmp_path / "l.png"), "image_id": 0}


def mapper(**arguments):
    return SegmentationMapper(**{"size": (), "crop_size": (16, 24), "image_format": "RGB", "num_classes": 3, **arguments})


def test_image_and_label_stay_together(record):
    flipped = set()
    for seed in range(20):
        np.random.seed(seed)
        sample = mapper()(record)
        assert sample["image"].shape == (3, 16, 24) and sample["sem_seg"].shape == (16, 24)
        assert torch.equal(sample["image"][0], sample["sem_seg"])
        flipped.add(bool(sample["sem_seg"][-1, 0] > sample["sem_seg"][-1, -1]))
    assert flipped == {True, False}


def test_crops_avoid_a_single_class(record):
    """Crops of 6x6 lie within one class more often than not; the constraint redraws those."""

    def alone(max_area):
        counts = 0
        for seed in range(60):
            np.random.seed(seed)
            labels = mapper(crop_size=(6, 6), max_area=max_area)(record)["sem_seg"]
            counts += len(labels[labels != 255].unique()) == 1
        return counts

    assert alone(0.75) < 10 < 25 < alone(1.0)


def test_small_images_are_padded_with_ignored_labels(record):
    np.random.seed(0)
    sample = mapper(crop_size=(32, 64), pad_value=120.0)(record)
    assert (
        sample["image"].shape == (3, 32, 64) and (sample["sem_seg"][30:] == 255).all() and (sample["image"][:, 31] == 120).all()
    )


def test_the_target_has_no_labels_but_the_margins_mask(record):
    unlabelled = {**record, "sem_seg_file_name": "/nowhere"}
    assert "sem_seg" not in mapper(num_classes=None)(unlabelled) and "valid" not in mapper(num_classes=None)(unlabelled)
    for seed in range(5):
        np.random.seed(seed)
        sample = mapper(num_classes=None, margins=(0, 0, 20, 0), crop_size=(32, 64))(unlabelled)
        own = sample["image"][0, :30].amax(0) > 0
        assert torch.equal(sample["valid"][1:30], (sample["image"][0, 1:30] == 1) & own)  # the left half is class 0 or 2
        assert not sample["valid"][30:].any()  # padding is not valid either
    assert valid_mask((6, 8), (1, 2, 3, 0)).nonzero()[0].tolist() == [1] * 5 + [2] * 5 + [3] * 5


def test_margins_follow_the_resizing(record):
    np.random.seed(1)
    sample = mapper(num_classes=None, margins=(10, 0, 0, 0), size=(20, 15), crop_size=(15, 20))(record)
    assert not sample["valid"][:5].any() and sample["valid"][5:].all()


def test_margins_that_leave_nothing_are_an_error_of_the_image(record):
    for margins in ((20, 10, 0, 0), (0, 35, 0, 0), (0, 0, 0, 41), (0, 0, 39, 1)):
        with pytest.raises(ValueError, match=rf"TARGET_MARGINS \({', '.join(map(str, margins))}\) leave nothing .* 40x30 pixels"):
            mapper(num_classes=None, margins=margins)(record)
    with pytest.raises(ValueError, match="leave nothing"):  # one row is left, which the smaller image does not have
        mapper(num_classes=None, margins=(16, 13, 0, 0), size=(4, 3))(record)
    assert valid_mask((10, 10), (3, 15, 0, 0)).sum() == 0  # -5 is no row to count from the end
    stream = StreamDataset([record], mapper(num_classes=None, margins=(0, 30, 0, 0)))
    with pytest.raises(UserError, match="TARGET_MARGINS .0, 30, 0, 0. leave nothing"):
        stream[0, 0]


def test_daformers_margins_are_the_published_rows_of_its_crops(tmp_path):
    """A 512x512 crop of Cityscapes at half size has the frame's height: its first 15 and last 120 rows have no weight."""
    cv2.imwrite(str(tmp_path / "i.png"), np.zeros((1024, 2048, 3), np.uint8))
    target = SegmentationMapper(mic_det.load_config("gta2cs_seg_daformer"), labelled=False)
    expected = torch.ones(512, 512, dtype=torch.bool)
    expected[:15], expected[-120:] = False, False
    for seed in range(4):
        np.random.seed(seed)
        valid = target({"file_name": str(tmp_path / "i.png"), "image_id": 0})["valid"]
        assert torch.equal(valid, expected)


@pytest.mark.parametrize("shape", [(1, 4000), (4000, 1), (1, 1), (2, 9000)])
def test_a_fitted_image_keeps_a_pixel(shape):
    image, labels = np.full((*shape, 3), 7, np.uint8), np.full(shape, 3, np.uint8)
    transform = ResizeToFit((1024, 512)).get_transform(image)
    fitted = transform.apply_image(image)
    assert min(fitted.shape[:2]) >= 1 and max(fitted.shape[:2]) <= 1024 and (fitted == 7).all()
    assert transform.apply_segmentation(labels).shape == fitted.shape[:2]
    sample = SegmentationTestMapper((1024, 512), "RGB").prepare(image)
    assert sample["image"].shape[1:] == fitted.shape[:2] and (sample["height"], sample["width"]) == shape


def test_test_images_keep_their_size_for_the_result(record):
    sample = SegmentationTestMapper((20, 15), "BGR")(record)
    assert sample["image"].shape == (3, 15, 20) and (sample["height"], sample["width"]) == (30, 40)
    assert sample["sem_seg_file_name"] == record["sem_seg_file_name"] and (sample["image"][0] == 0).all()


def test_labels_of_every_kind_are_read_exactly_or_refused(tmp_path):
    labels = np.array([[0, 1, 2], [255, 1, 0]], np.uint8)
    palette = Image.fromarray(labels, "P")
    palette.putpalette(bytes(range(256)) * 3)
    palette.save(tmp_path / "palette.png")
    Image.fromarray(labels.astype(np.uint16)).save(tmp_path / "deep.png")
    write_tiff(tmp_path / "float.tif", labels.astype(np.float32))
    Image.fromarray(labels).save(tmp_path / "turned.png", exif=exif(6))
    for name in ("palette.png", "deep.png", "float.tif"):
        assert np.array_equal(read_labels(tmp_path / name, 3, (2, 3)), labels), name
        assert read_labels(tmp_path / name).dtype == np.uint8
    assert np.array_equal(read_labels(tmp_path / "turned.png", 3, (3, 2)), turned(labels, 6))
    Image.fromarray(labels > 0).save(tmp_path / "bits.png")
    assert np.array_equal(read_labels(tmp_path / "bits.png", 2), labels > 0)


@pytest.mark.parametrize("num_classes", [None, 3])
def test_labels_that_would_become_others_are_refused(tmp_path, num_classes):
    Image.fromarray(np.array([[0, 257]], np.uint16)).save(tmp_path / "deep.png")  # 257 becomes 1 in 8 bits
    for name, values in (("float", [[0.0, 1.5]]), ("none", [[0.0, np.nan]]), ("negative", [[-1.0, 1.0]])):
        write_tiff(tmp_path / f"{name}.tif", np.array(values, np.float32))
    write_tiff(tmp_path / "signed.tif", np.array([[-1, 1]], np.int16))
    for name in ("deep.png", "float.tif", "none.tif", "negative.tif", "signed.tif"):
        with pytest.raises(ValueError, match=f"{name} has the label"):
            read_labels(tmp_path / name, num_classes)
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "lossy.png", format="JPEG")
    with pytest.raises(ValueError, match="is a JPEG, whose compression changes labels"):
        read_labels(tmp_path / "lossy.png", num_classes)
    (tmp_path / "broken.png").write_bytes(b"")
    with pytest.raises(OSError, match=r"broken\.png"):
        read_labels(tmp_path / "broken.png", num_classes)


def test_wrong_labels_are_named(record, tmp_path):
    with pytest.raises(ValueError, match=r"l\.png has the label 2, but there are 2 classes"):
        mapper(num_classes=2)(record)
    cv2.imwrite(str(tmp_path / "c.png"), np.zeros((30, 40, 3), np.uint8))
    with pytest.raises(ValueError, match=r"c\.png has 3 channels"):
        read_labels(tmp_path / "c.png")
    cv2.imwrite(str(tmp_path / "s.png"), np.zeros((3, 4), np.uint8))
    with pytest.raises(ValueError, match=r"s\.png has another size"):
        mapper()({**record, "sem_seg_file_name": str(tmp_path / "s.png")})
    with pytest.raises(UserError, match="has no label"):
        find_pairs(tmp_path, tmp_path / "labels")
