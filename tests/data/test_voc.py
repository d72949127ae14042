import io
import json

import pytest

from mic_det.data import voc
from mic_det.data.catalog import load_labelled, load_unlabelled
from mic_det.data.conversion import print_conversions, report_bad_files
from mic_det.errors import UserError
from tests.conftest import run_script
from tests.data.layouts import voc_xml, write_image, write_text, write_voc


def test_inclusive_corners_from_one_become_xywh(tmp_path):
    write_voc(tmp_path, {"train": ["a"]})
    size, objects, left_out = voc.read_xml(tmp_path / "Annotations/a.xml", voc.CLASSES)
    assert size == (60, 80) and not left_out
    assert [(item["bbox"], item["area"], item["difficult"]) for item in objects] == [
        ([0, 0, 20, 20], 400, 0),
        ([29, 9, 20, 50], 1000, 1),
    ]
    assert [voc.CLASSES[item["category_id"] - 1] for item in objects] == ["car", "person"]


def test_bad_files_are_listed_and_survived(tmp_path):
    write_voc(tmp_path, {"train": ["a", "b", "c"]})
    (tmp_path / "Annotations/b.xml").write_text("<annotation><size>")
    (tmp_path / "JPEGImages/c.jpg").unlink()
    result = voc.convert_voc(
        tmp_path / "Annotations", tmp_path / "JPEGImages", voc.CLASSES, tmp_path / "ImageSets/Main/train.txt"
    )
    assert len(result.coco["images"]) == 1
    broken, missing = result.bad_files
    assert broken.startswith(f"{tmp_path}/Annotations/b.xml: ") and missing == str(tmp_path / "JPEGImages/c")
    with pytest.raises(UserError, match="train2.txt does not exist"):
        voc.convert_voc(tmp_path / "Annotations", tmp_path / "JPEGImages", voc.CLASSES, tmp_path / "ImageSets/Main/train2.txt")


def one_object(body, size="<size><width>80</width><height>60</height></size>"):
    return f"<annotation>{size}<object>{body}</object></annotation>"


def corners(x0, y0, x1, y1):
    return f"<bndbox><xmin>{x0}</xmin><ymin>{y0}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox>"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (f"<name>car</name>{corners(5, 5, 5, 5)}", "a box without area"),
        (f"<name>car</name>{corners(5, 5, 5, 9)}", "a box without area"),
        (f"<name>car</name>{corners(9, 5, 5, 9)}", "a box without area"),
        (f"<name>car</name>{corners(1, 1, 'inf', 9)}", "a corner that is no finite number"),
        (f"<name>car</name>{corners(1, 1, 'x', 9)}", "a corner that is missing or no number"),
        ("<name>car</name><bndbox><xmin>1</xmin></bndbox>", "a corner that is missing or no number"),
        ("<name>car</name><polygon><x1>1</x1></polygon>", "no bndbox"),
        (f"<name>car</name>{corners(1, 1, 9, 9)}{corners(1, 1, 9, 9)}", "2 bndbox"),
        (corners(1, 1, 9, 9), "no name"),
    ],
)
def test_objects_that_are_none_are_counted(tmp_path, body, reason):
    path = write_text(tmp_path / "a.xml", one_object(body))
    assert voc.read_xml(path, ("car",)) == ((60, 80), [], [reason])


def test_left_out_objects_are_reported_and_missing_sizes_are_the_images(tmp_path, caplog):
    good = f"<name> car </name><difficult/>{corners(1.5, 2, 9.25, 9)}"
    for name, size in (
        ("a", ""),
        ("b", "<size><width>0</width><height>0</height></size>"),
        ("c", "<size><width>?</width></size>"),
    ):
        write_image(tmp_path / f"images/sub/{name}.JPG")
        write_text(tmp_path / f"xml/sub/{name}.xml", one_object(good, size))
    write_text(tmp_path / "xml/sub/c.xml", one_object(f"<name>car</name>{corners(5, 5, 5, 5)}"))
    result = voc.convert_voc(tmp_path / "xml", tmp_path / "images", ("car",))
    assert [(image["height"], image["width"]) for image in result.coco["images"]] == [(60, 80)] * 3
    assert [item["bbox"] for item in result.coco["annotations"]] == [[0.5, 1, 8.75, 8]] * 2
    assert voc.find_classes(tmp_path / "xml") == ("car",)
    report_bad_files(result, "mine")
    assert "mine: 1 objects left out: a box without area, e.g. in" in caplog.text and "c.xml" in caplog.text
    out = io.StringIO()
    assert print_conversions({tmp_path / "mine.json": result}, out) == 0
    assert "mine.json: 1 objects left out: a box without area" in out.getvalue()


def test_voc_07_and_12_command(tmp_path, monkeypatch):
    root = tmp_path / "voc"
    write_voc(root / "VOC2007", {"trainval": ["000001", "000002"]})
    write_voc(root / "VOC2012", {"trainval": ["2008_000001"]}, [("cat", 1, 1, 40, 40, 0), ("tvmonitor", 2, 2, 30, 30, 0)])
    run = run_script("datasets/prepare_voc.py", "--dataset", "voc", "--root", root)
    assert "instances_trainval.json" in run.stdout
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    records = load_labelled("voc_0712_trainval")
    assert len(records) == 3 and records[0]["file_name"] == str(root / "VOC2007/JPEGImages/000001.jpg")
    assert sum(len(record["annotations"]) for record in records) == 6
    six = load_labelled("voc_0712_6_trainval")
    assert [len(record["annotations"]) for record in six] == [2, 2, 1]  # tvmonitor is none of the six
    assert six[2]["annotations"][0]["category_id"] == voc.ART_CLASSES.index("cat")


@pytest.mark.parametrize(("name", "splits"), [("clipart", ("train", "test", "all")), ("comic", ("train", "test"))])
def test_art_command(tmp_path, monkeypatch, name, splits):
    root = write_voc(tmp_path / name, {"train": ["a", "b"], "test": ["c"]})
    run_script("datasets/prepare_voc.py", "--dataset", name, "--root", root)
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    sizes = {split: len(load_labelled(f"{name}_{split}")) for split in splits}
    assert sizes == {"train": 2, "test": 1, "all": 3} if "all" in splits else {"train": 2, "test": 1}
    assert len(load_unlabelled(f"{name}_train")) == 2


@pytest.mark.parametrize("inner", ["VOC2012", "."])
def test_sim10k_command(tmp_path, monkeypatch, inner):
    root = tmp_path / "sim10k"
    for name in ("3384645", "3384646"):
        write_image(root / inner / f"JPEGImages/{name}.jpg")
        objects = [("car", 1, 1, 20, 20, 0), ("motorbike", 5, 5, 30, 30, 0)]
        write_text(root / inner / f"Annotations/{name}.xml", voc_xml(objects))
    run_script("datasets/prepare_sim10k.py", "--root", root)
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    records = load_labelled("sim10k_car_train")
    assert [len(record["annotations"]) for record in records] == [1, 1]
    content = json.loads((root / "annotations/instances_train.json").read_text())
    assert len(content["annotations"]) == 4


def test_wrong_root_is_one_sentence(tmp_path):
    run = run_script("datasets/prepare_voc.py", "--dataset", "clipart", "--root", tmp_path, check=False)
    assert run.returncode == 1 and "JPEGImages does not exist" in run.stderr
    run = run_script("datasets/prepare_sim10k.py", "--root", tmp_path, check=False)
    assert run.returncode == 1 and "JPEGImages" in run.stderr
