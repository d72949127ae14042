import pytest
from PIL import Image

from mic_det.data.detection_mapper import TrainingMapper
from mic_det.data.yolo import convert_yolo, read_labels
from mic_det.errors import UserError
from tests.data.image_files import exif
from tests.data.layouts import write_image, write_text

CLASSES = ["car", "person", "dog"]


def read(tmp_path, text):
    """[(class, box)] and left-out reasons of one file for an image of 100 x 200 pixels."""
    objects, left_out = read_labels(write_text(tmp_path / "a.txt", text), 100, 200, 3)
    return [(item["category_id"] - 1, [round(value, 6) for value in item["bbox"]]) for item in objects], left_out


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1 0.5 0.5 0.2 0.4\n", (1, [40, 60, 20, 80])),
        ("1.0 0.5 0.5 0.2 0.4\r\n\r\n", (1, [40, 60, 20, 80])),
        ("\ufeff1\t0.5\t0.5\t0.2\t0.4", (1, [40, 60, 20, 80])),
        ("1 0.5 0.5 0.2 0.4 0.93", (1, [40, 60, 20, 80])),  # with its confidence
        ("0 0.25 0.25 0.75 0.25 0.75 0.75 0.25 0.75", (0, [25, 50, 50, 100])),  # a polygon of four corners
        ("0 0.1 0.9 0.5 0.2 0.3 0.4", (0, [10, 40, 40, 140])),  # of three
        ("2 0.5 0.5 1.0000001 1", (2, [0, 0, 100, 200])),
    ],
)
def test_boxes_and_polygons(tmp_path, text, expected):
    (found,), left_out = read(tmp_path, text)
    assert found[0] == expected[0] and found[1] == pytest.approx(expected[1], abs=1e-4) and not left_out


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("3 0.5 0.5 0.2 0.4", "line 2: class 3 of 3"),
        ("-1 0.5 0.5 0.2 0.4", "class -1"),
        ("0.5 0.5 0.5 0.2 0.4", "class 0.5"),
        ("car 0.5 0.5 0.2 0.4", "could not convert string"),
        ("0 0.5 0.5 0.2", "4 numbers"),
        ("0 0.1 0.1 0.2 0.2 0.3 0.3 0.4", "8 numbers"),
        ("0 50 80 20 40", "must be shares of the image, not pixels"),
        ("0 0.5 nan 0.2 0.4", "beyond 0 to 1"),
        ("0 0.5 0.5 -0.2 0.4", "a negative size"),
    ],
)
def test_lines_that_are_neither_are_named(tmp_path, line, message):
    with pytest.raises(ValueError, match=message):
        read(tmp_path, f"0 0.5 0.5 0.2 0.4\n{line}\n")


def test_boxes_without_area_are_counted_and_files_are_survived(tmp_path, caplog):
    for name in "abcde":
        write_image(tmp_path / f"images/{name}.jpg")
    write_text(tmp_path / "labels/a.txt", "0 0.5 0.5 0 0.1\n1 0.5 0.5 0.1 0.1\n")
    write_text(tmp_path / "labels/b.txt", "0 7 7 7 7\n")
    (tmp_path / "labels/c.txt").write_bytes(b"\xff\xfe0\x00")  # UTF-16
    write_text(tmp_path / "labels/d.txt", "\n")
    (tmp_path / "images/e.jpg").write_bytes(b"broken")
    result = convert_yolo(tmp_path / "images", tmp_path / "labels", CLASSES)
    assert [image["file_name"] for image in result.coco["images"]] == ["a.jpg", "d.jpg"]
    assert len(result.coco["annotations"]) == 1 and result.left_out == {"a box without area": 1}
    assert "b.txt: line 1: numbers beyond" in result.bad_files[0] and "c.txt" in result.bad_files[1]
    with pytest.raises(UserError, match=r"None of the 5 images in .* has a label file: .*txt, for one"):
        convert_yolo(tmp_path / "images", tmp_path / "elsewhere", CLASSES)


def test_upright_phone_photos_keep_their_labels(tmp_path, tiny_cfg):
    (tmp_path / "images").mkdir()
    Image.new("RGB", (96, 64)).save(tmp_path / "images/p.jpg", exif=exif(6))
    write_text(tmp_path / "labels/p.txt", "0 0.5 0.5 0.5 0.25\n")
    coco = convert_yolo(tmp_path / "images", tmp_path / "labels", ["car"]).coco
    (image,) = coco["images"]
    assert (image["height"], image["width"]) == (96, 64) and coco["annotations"][0]["bbox"] == [16, 36, 32, 24]
    record = {"file_name": str(tmp_path / "images/p.jpg"), "image_id": 1, "height": 96, "width": 64}
    assert TrainingMapper(tiny_cfg(), labelled=False)(record)["height"] == 96
