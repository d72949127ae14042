"""Faults of a COCO file: of its structure, of single images, of single annotations, and of boxes in another format."""

import copy
import gzip
import json

import pytest

from mic_det.data.box_checks import odd_boxes
from mic_det.data.coco import drop_faulty, labelled_records, load_detections, load_json, read_images, usable_content
from mic_det.data.coco_schema import NoLabels
from mic_det.errors import UserError
from tests.data.layouts import write_image
from tests.data.test_coco import GOOD, write  # noqa: F401 - a fixture


def changed(**parts):
    return {**copy.deepcopy(GOOD), **parts}


def each(part, **fields):
    """GOOD with fields set in every entry of one list, or removed where they are `...`."""
    content = copy.deepcopy(GOOD)
    for entry in content[part]:
        entry.update(fields)
        for name in [name for name, value in fields.items() if value is ...]:
            del entry[name]
    return content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}], "COCO results: detections, no annotations"),
        ([1, 2], "lists no images"),
        (changed(images="a.png"), "images is 'a.png': Input should be a valid list"),
        (changed(categories=[]), r"categories is \[\]"),
        (changed(categories=None), "categories is None"),
        (changed(categories=[{"supercategory": "x"}]), r"categories\[0\].id is missing; categories\[0\].name is missing"),
        (changed(categories=[{"id": True, "name": ""}]), r"\[0\].id is True: .*whole number.*\[0\].name is ''"),
        (changed(categories=[{"id": 1, "name": "cat"}, {"id": 1, "name": "dog"}]), "category id 1 stands 2 times"),
        (changed(categories=[{"id": 1, "name": "cat"}, {"id": 2, "name": "cat"}]), "category name 'cat' stands 2 times"),
        (changed(annotations={}), "annotations is {}"),
        (each("images", id=...), r"images\[0\].id is missing; images\[1\].id is missing"),
        (each("images", file_name=None), r"images\[0\].file_name is None"),
        (each("images", width=-5), r"images\[0\].width is -5: Input should be greater than 0"),
        (each("images", width=True), r"images\[0\].width is True"),
        (each("images", id=7), "the image id 7 stands for a.png, b.png"),
    ],
)
def test_faults_of_the_structure_are_one_sentence(write, content, message):  # noqa: F811
    with pytest.raises(UserError, match=f"(?s)labels.json.*{message}"):
        drop_faulty(load_json(write(content)), write(content))


def test_only_the_first_ten_faults_are_listed():
    content = changed(categories=[{"id": index} for index in range(14)])
    with pytest.raises(UserError, match=r"categories\[9\].name is missing; and 4 more\."):
        drop_faulty(content, "x")


def test_files_without_labels_are_targets(write):  # noqa: F811
    path = write({"images": GOOD["images"]})
    assert len(read_images(path, "x")) == 2
    for content in (path, write(changed(annotations=None))):
        with pytest.raises(NoLabels, match="can serve as DATASETS.TARGET"):
            load_json(content)


def test_byte_order_marks_and_compression_are_read_and_json_lines_are_named(tmp_path):
    text = json.dumps(GOOD).encode()
    for name, data in (("bom", b"\xef\xbb\xbf" + text), ("utf16", text.decode().encode("utf-16")), ("gz", gzip.compress(text))):
        (tmp_path / name).write_bytes(data)
        assert load_json(tmp_path / name)["images"] == GOOD["images"]
    for name, data, message in (
        ("lines", b'{"id": 1}\n{"id": 2}', "JSON lines"),
        ("cut", gzip.compress(text)[:30], "cannot be read"),
        ("number", b'{"images": ' + b"1" * 5000, "cannot be read"),
        ("deep", b"[" * 100000, "cannot be read"),
        ("binary", b"\x80\x81\x82", "cannot be read"),
    ):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(UserError, match=message):
            load_json(tmp_path / name)
    with pytest.raises(UserError, match="cannot be read"):
        load_json(tmp_path)


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"file_name": ""}, "file_name is no text"),
        ({"file_name": "a\0b"}, "file_name is no text"),
        ({"file_name": "\ud800"}, "file_name is no text"),
        ({"id": [1]}, "id is neither"),
        ({"height": "x"}, "height is no positive"),
    ],
)
def test_single_broken_images_are_left_out_with_their_annotations(change, kind):
    content = copy.deepcopy(GOOD)
    content["images"][0].update(change)
    content["annotations"].append({"id": 2, "image_id": 9, "category_id": 3, "bbox": [1, 1, 3, 3]})
    found, faults = usable_content(content, "x")
    assert [image["id"] for image in found["images"]] == [9]
    assert [item["id"] for item in found["annotations"]] == [2]
    assert len(faults.counts) == 2 and kind in next(iter(faults.counts)) and "images[0]." in next(iter(faults.examples.values()))


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"bbox": [1, 2, True, 4]}, "finite number"),
        ({"bbox": [1, 2, 1e300, 4]}, "finite number"),
        ({"bbox": [1, 2, 10**400, 4]}, "finite number"),
        ({"bbox": [1, 2, [3], 4]}, "finite number"),
        ({"bbox": {"x": 1}}, "four numbers"),
        ({"bbox": None}, "four numbers"),
        ({"bbox": [1, 2, -3, 4]}, "no area"),
        ({"bbox": [20, 2, 3, 4]}, "wholly outside"),
        ({"image_id": None}, "image_id is neither"),
        ({"image_id": True}, "image_id is neither"),
        ({"image_id": "7"}, "image is not in the file"),
        ({"category_id": "cat"}, "category is not in the file"),
        ({"iscrowd": 2}, "iscrowd is neither"),
    ],
)
def test_single_broken_annotations_are_left_out_and_counted(change, kind):
    content = copy.deepcopy(GOOD)
    content["annotations"] = [{**GOOD["annotations"][0], "id": 2, **change}, *content["annotations"], 5]
    found, faults = usable_content(content, "x")
    assert [item["id"] for item in found["annotations"]] == [1]
    assert sum(faults.counts.values()) == 2 and any(kind in fault for fault in faults.counts)


@pytest.mark.parametrize("flag", [None, 0, "0", False, 0.0])
def test_odd_flags_areas_and_ids_are_understood(flag):
    content = each("annotations", id=None, iscrowd=flag, area="large", image_id=7.0)
    (item,) = usable_content(content, "x")[0]["annotations"]
    assert item["iscrowd"] == 0 and item["image_id"] == 7
    assert usable_content(each("annotations", iscrowd="1"), "x")[0]["annotations"][0]["iscrowd"] == 1


def test_ids_may_be_texts_and_images_may_stand_twice():
    content = copy.deepcopy(GOOD)
    content["images"] = [{**image, "id": f"i{image['id']}"} for image in content["images"]] * 2
    content["annotations"][0]["image_id"] = "i7"
    found, faults = usable_content(content, "x")
    assert [len(record["annotations"]) for record in labelled_records(found, "x")] == [1, 0]
    assert faults.counts == {"image that stands twice": 2}


def test_missing_sizes_come_from_the_files(tmp_path):
    write_image(tmp_path / "a.png", (60, 80))
    content = copy.deepcopy(GOOD)
    del content["images"][0]["width"]
    content["images"][1].update(width=None, height=None)
    records = labelled_records(usable_content(content, "x", tmp_path)[0], tmp_path)
    assert (records[0]["height"], records[0]["width"]) == (60, 80)
    assert "height" not in records[1], "b.png does not exist"


def boxes(*own):
    annotations = [{"image_id": 7, "category_id": 3, "bbox": list(box)} for box in own]
    return {"images": [{"id": 7, "file_name": "a", "height": 100, "width": 100}], "annotations": annotations}


@pytest.mark.parametrize(
    ("own", "kinds"),
    [
        ([(10, 10, 20, 20)], []),
        ([(-0.5, 0, 100, 101)], []),
        ([(-5, 10, 20, 20)], ["partly outside"]),
        ([(10, 10, 0.5, 20)], ["thinner"]),
        ([(10, 10, 20, 20)] * 2, ["duplicated"]),
        # Two corners of boxes in the middle and at the lower right.
        ([(50, 60, 70, 80), (70, 20, 90, 40), (40, 60, 52, 90)], ["partly outside", "two corners"]),
        ([(0.4, 0.4, 0.2, 0.1), (0.1, 0.1, 0.5, 0.5)], ["thinner", "shares of the image"]),
        # Large objects at the upper left are no reason.
        ([(5, 5, 80, 80), (2, 3, 30, 40), (0, 0, 99, 99)], []),
    ],
)
def test_odd_boxes_are_counted_with_the_likely_cause(own, kinds):
    found = list(odd_boxes(boxes(*own)).counts)
    assert len(found) == len(kinds) and all(kind in fault for kind, fault in zip(kinds, found, strict=True))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"score": "high"}, r"\[0\].score is 'high'"),
        ({"score": True}, r"\[0\].score is True"),
        ({"score": float("nan")}, r"\[0\].score is nan"),
        ({"bbox": [1, 2, 3]}, r"\[0\].bbox is \[1, 2, 3\]"),
        ({"bbox": [1, 2, 3, None]}, r"\[0\].bbox\[3\] is None"),
        ({"bbox": [1, 2, -3, 4]}, "negative"),
        ({"image_id": None}, r"\[0\].image_id is None"),
    ],
)
def test_broken_detections_are_one_sentence(write, change, message):  # noqa: F811
    detection = {"image_id": 7, "category_id": 3, "bbox": [1, 2, 3, 4], "score": 0.5}
    with pytest.raises(UserError, match=f"Detections file .*labels.json.*{message}"):
        load_detections(write([{**detection, **change}]))
    assert load_detections(write([detection]))[0]["score"] == 0.5
    with pytest.raises(UserError, match="must be a list of entries with bbox.* the content is .*valid list"):
        load_detections(write(GOOD))
