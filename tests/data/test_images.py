"""The one reader of images against detectron2's, and against values computed from what was written."""

import contextlib

import cv2
import numpy as np
import pytest
from detectron2.data import detection_utils
from PIL import Image

from mic_det.data.images import RangeError, check_values, image_size, read_image, scale_frame
from tests.data.image_files import exif, turned, write_tiff

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (4, 6, 3), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (4, 6, 3), dtype=np.uint16)


def grey_levels(values, low, high):
    """The right answer, in double precision."""
    return np.floor(255 * np.clip((values.astype(np.float64) - low) / (high - low), 0, 1) + 0.5).astype(np.uint8)


def transparent_palette():
    image = Image.fromarray(COLOUR).quantize(8)
    image.info["transparency"] = 3
    return image


@pytest.mark.parametrize(
    ("name", "image"),
    [
        ("grey.png", Image.fromarray(COLOUR[..., 0])),
        ("one_bit.png", Image.fromarray(COLOUR[..., 0] > 99)),
        ("grey_alpha.png", Image.fromarray(COLOUR[..., :2], "LA")),
        ("rgba.png", Image.fromarray(np.dstack([COLOUR, COLOUR[..., :1]]))),
        ("palette.png", transparent_palette()),
        ("palette.gif", transparent_palette()),
        ("cmyk.jpg", Image.fromarray(COLOUR).convert("CMYK")),
        ("cmyk.tif", Image.fromarray(COLOUR).convert("CMYK")),
        ("colour.jpg", Image.fromarray(COLOUR)),
        ("grey.jpg", Image.fromarray(COLOUR[..., 0])),
        ("colour.webp", Image.fromarray(COLOUR)),
        ("alpha.webp", Image.fromarray(np.dstack([COLOUR, COLOUR[..., :1]]))),
        ("colour.bmp", Image.fromarray(COLOUR)),
        ("colour.ppm", Image.fromarray(COLOUR)),
        ("colour.TIFF", Image.fromarray(COLOUR)),
    ],
)
def test_eight_bits_are_what_detectron2_reads(tmp_path, name, image):
    image.save(tmp_path / name)
    for order in ("BGR", "RGB"):
        found = read_image(tmp_path / name, order)
        assert np.array_equal(found, detection_utils.read_image(str(tmp_path / name), order)) and found.dtype == np.uint8
    assert image_size(tmp_path / name) == (4, 6)


def test_a_bitmap_of_five_bits_per_channel_is_no_deep_image(tmp_path):
    header = b"BM" + np.array([54 + 48, 0, 54, 40, 6, 4], "<u4").tobytes() + np.array([1, 16], "<u2").tobytes()
    (tmp_path / "a.bmp").write_bytes(header + np.array([0, 48, 0, 0, 0, 0], "<u4").tobytes() + bytes(range(48)))
    assert np.array_equal(read_image(tmp_path / "a.bmp"), detection_utils.read_image(str(tmp_path / "a.bmp"), "BGR"))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_of_every_format_is_upright(tmp_path, orientation):
    right = turned(COLOUR, orientation)
    for name, options in (("a.png", {}), ("a.webp", {"lossless": True}), ("a.jpg", {"quality": 100, "subsampling": 0})):
        Image.fromarray(COLOUR).save(tmp_path / name, exif=exif(orientation), **options)
        found = read_image(tmp_path / name, "RGB")
        stored = detection_utils.read_image(str(tmp_path / name), "RGB")
        assert np.array_equal(found, right if name != "a.jpg" else stored), name
        assert image_size(tmp_path / name) == right.shape[:2], name
    Image.fromarray(DEEP[..., 0]).save(tmp_path / "deep.png", exif=exif(orientation))
    files = {tmp_path / "deep.png": DEEP[..., 0], write_tiff(tmp_path / "eight.tif", COLOUR, orientation): COLOUR}
    files[write_tiff(tmp_path / "grey.tif", DEEP[..., 0], orientation)] = DEEP[..., 0]
    files[write_tiff(tmp_path / "colour.tif", DEEP, orientation)] = DEEP
    files[write_tiff(tmp_path / "float.tif", (DEEP / 65535).astype(np.float32), orientation)] = DEEP
    for path, stored in files.items():
        values = turned(stored if stored.ndim == 3 else np.dstack([stored] * 3), orientation)
        assert np.array_equal(read_image(path, "RGB"), grey_levels(values, 0, np.iinfo(stored.dtype).max)), path
        assert image_size(path) == values.shape[:2], path


def test_sixteen_bits_and_floats_keep_their_grey_levels(tmp_path):
    four = np.dstack([DEEP, DEEP[..., :1]])
    for suffix in ("png", "tif"):
        cv2.imwrite(str(tmp_path / f"grey.{suffix}"), DEEP[..., 0])
        cv2.imwrite(str(tmp_path / f"colour.{suffix}"), DEEP[..., ::-1])
        cv2.imwrite(str(tmp_path / f"alpha.{suffix}"), np.dstack([DEEP[..., ::-1], DEEP[..., 0]]))
        assert np.array_equal(read_image(tmp_path / f"grey.{suffix}"), grey_levels(np.dstack([DEEP[..., 0]] * 3), 0, 65535))
        for name in ("colour", "alpha"):
            assert np.array_equal(read_image(tmp_path / f"{name}.{suffix}", "RGB"), grey_levels(DEEP, 0, 65535))
    cv2.imwrite(str(tmp_path / "colour.ppm"), DEEP[..., ::-1])
    write_tiff(tmp_path / "four.tif", four)
    for dtype in (np.float32, np.float64):
        write_tiff(tmp_path / f"{dtype.__name__}.tif", (DEEP / 65535).astype(dtype))
    for name in ("colour.ppm", "four.tif", "float32.tif", "float64.tif"):
        assert np.array_equal(read_image(tmp_path / name, "RGB"), grey_levels(DEEP, 0, 65535)), name
        assert np.array_equal(read_image(tmp_path / name, "RGB", (1000, 9000)) > 0, DEEP > 1015) or "float" in name


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.uint32, np.int32, np.float32, np.float64])
def test_a_range_says_what_is_black_and_white(tmp_path, dtype):
    values = np.array([[20, 30, 40], [60, 90, 100]], dtype)
    write_tiff(tmp_path / "a.tif", values)
    for value_range, limits in (
        ((30, 90), (30, 90)),
        (("min", "max"), (20, 100)),
        (("min", 60), (20, 60)),
        ((-20, "max"), (-20, 100)),
    ):
        found = read_image(tmp_path / "a.tif", "RGB", value_range)
        assert np.array_equal(found, np.dstack([grey_levels(values, *limits)] * 3)), value_range


def test_numbers_without_a_range_of_their_own_ask_for_one(tmp_path):
    for name, values in (
        ("signed", np.array([[-300, 20]], np.int16)),
        ("counts", np.array([[0, 70000]], np.uint32)),
        ("kelvin", np.array([[291.5, 303.2]], np.float32)),
        ("negative", np.array([[-0.5, 1.0]], np.float32)),
        ("nothing", np.array([[np.nan, np.inf]], np.float32)),
    ):
        with pytest.raises(RangeError, match=f"{name}.tif holds"):
            read_image(write_tiff(tmp_path / f"{name}.tif", values))
    found = read_image(tmp_path / "kelvin.tif", "RGB", (290, 310))
    assert found[0, :, 0].tolist() == [round(255 * 1.5 / 20), round(255 * 13.2 / 20)]


def test_what_is_no_number_is_black_and_leaves_the_extremes_alone(tmp_path):
    values = np.array([[np.nan, 10, 20, 30, np.inf, -np.inf]], np.float32)
    found = read_image(write_tiff(tmp_path / "a.tif", values), "RGB", ("min", "max"))
    assert found[0, :, 0].tolist() == [0, 0, 128, 255, 255, 0]
    constant = write_tiff(tmp_path / "b.tif", np.full((2, 2), 7.0, np.float32))
    assert (read_image(constant, "RGB", ("min", "max")) == 0).all()
    almost = write_tiff(tmp_path / "c.tif", np.array([[-1e-4, 1.0001]], np.float32))  # what resampling leaves behind
    assert read_image(almost)[0, :, 0].tolist() == [0, 255]


def test_of_several_pages_the_first_is_read(tmp_path):
    pages = [Image.fromarray(DEEP[..., index]) for index in range(3)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    assert np.array_equal(read_image(tmp_path / "a.tif"), grey_levels(np.dstack([DEEP[..., 0]] * 3), 0, 65535))


def test_broken_files_are_oserrors_that_name_them(tmp_path):
    Image.fromarray(COLOUR).save(tmp_path / "good.png")
    Image.fromarray(DEEP[..., 0]).save(tmp_path / "deep.png")
    whole = {name: (tmp_path / name).read_bytes() for name in ("good.png", "deep.png")}
    cases = {
        "empty.png": b"",
        "text.jpg": b"no picture",
        "cut.png": whole["good.png"][:60],
        "cut_deep.png": whole["deep.png"][:50],
    }
    for name, content in cases.items():
        (tmp_path / name).write_bytes(content)
    for channels in (2, 5):
        write_tiff(tmp_path / f"{channels}_channels.tif", np.zeros((4, 6, channels), np.uint16))
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "link.png").symlink_to(tmp_path / "nowhere.png")
    names = [*cases, "2_channels.tif", "5_channels.tif", "folder.png", "link.png", "missing.png"]
    for name in names:
        with pytest.raises(OSError, match=name):
            read_image(tmp_path / name)
        if not name.startswith("cut"):  # whose headers are whole
            with pytest.raises(OSError, match=name):
                image_size(tmp_path / name)


@pytest.mark.parametrize("seed", [0, 2])
def test_damaged_files_raise_nothing_but_oserrors(tmp_path, seed):
    rng = np.random.default_rng(seed)
    for name in ("a.png", "a.jpg", "a.tif", "a.webp", "a.bmp", "a.gif", "deep.png"):
        Image.fromarray(DEEP[..., 0] if name == "deep.png" else COLOUR).save(tmp_path / name)
        whole = np.frombuffer((tmp_path / name).read_bytes(), np.uint8)
        for _ in range(40):
            damaged = whole.copy()
            damaged[rng.integers(0, len(whole), 4)] = rng.integers(0, 256, 4)
            (tmp_path / name).write_bytes(damaged[: rng.integers(1, 2 * len(whole))].tobytes())
            for read in (read_image, image_size):
                with contextlib.suppress(OSError, RangeError):
                    read(tmp_path / name)


def test_broken_exif_does_not_cost_the_image(tmp_path):
    Image.fromarray(COLOUR).save(tmp_path / "a.png", exif=b"Exif\0\0garbage that is no TIFF header")
    assert np.array_equal(read_image(tmp_path / "a.png", "RGB"), COLOUR) and image_size(tmp_path / "a.png") == (4, 6)


def test_a_dataset_that_would_look_black_is_said_once(tmp_path, caplog):
    thermal = RNG.integers(7000, 7900, (40, 60)).astype(np.uint16)
    paths = [tmp_path / f"{index}.png" for index in range(5)]
    for path in paths:
        Image.fromarray(thermal).save(path)
    for _ in range(2):
        check_values(paths, "night watch", ())
    (said,) = [record.message for record in caplog.records]
    assert "night watch" in said and "INPUT.RANGE is not set" in said and "holds 7000 to 7899" in said
    check_values(paths, "other range", (20000, 30000))
    assert "INPUT.RANGE is (20000, 30000)" in caplog.text
    caplog.clear()
    check_values(paths, "well set", ("min", "max"))
    check_values(paths, "well set too", (7000, 8000))
    Image.fromarray(COLOUR // 9).save(tmp_path / "dark.png")  # a dark image of 8 bits may well be right
    check_values([tmp_path / "dark.png", tmp_path / "missing.png"], "dark", ())
    assert not caplog.records
    kelvin = write_tiff(tmp_path / "kelvin.tif", np.full((4, 4), 293.0, np.float32))
    with pytest.raises(RangeError, match="kelvin.tif holds values from 293 to 293 instead of 0 to 1: set INPUT.RANGE"):
        check_values([kelvin], "kelvin", ())


def test_frames_follow_ranges_of_eight_bits_only():
    frame = np.array([[[10, 60, 110]]], np.uint8)
    assert scale_frame(frame, ()) is frame and scale_frame(frame, (7000, 8000)) is frame
    assert scale_frame(frame, (10, 110))[0, 0].tolist() == [0, 128, 255] == scale_frame(frame, ("min", "max"))[0, 0].tolist()
