import json

import pytest

from mic_det.data.classes import category_names
from mic_det.data.coco import drop_faulty, labelled_records, load_json, read_folder, read_images
from mic_det.errors import UserError

GOOD = {
    "images": [
        {"id": 7, "file_name": "a.png", "height": 10, "width": 20},
        {"id": 9, "file_name": "b.png", "height": 10, "width": 20},
    ],
    "categories": [{"id": 5, "name": "cat"}, {"id": 3, "name": "dog"}],
    "annotations": [{"id": 1, "image_id": 7, "category_id": 5, "bbox": [1, 2, 3, 4], "iscrowd": 0}],
}


def read_coco(path, image_root):
    content = drop_faulty(load_json(path), path)
    return labelled_records(content, image_root), category_names(content)


@pytest.fixture
def write(tmp_path):
    def write(content):
        path = tmp_path / "labels.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return write


def test_reads_categories_in_id_order_and_keeps_empty_images(write):
    records, names = read_coco(write(GOOD), "images")
    assert names == ["dog", "cat"]
    assert records[0]["annotations"][0]["category_id"] == 1
    assert records[0]["file_name"] == "images/a.png"
    assert records[1]["annotations"] == []


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"bbox": [1, 2, 0, 4]}, "no area"),
        ({"bbox": [1, 2, 3]}, "four numbers"),
        ({"bbox": [1, 2, "x", 4]}, "finite number"),
        ({"bbox": [1, 2, float("nan"), 4]}, "finite number"),
        ({"category_id": 99}, "category"),
        ({"image_id": 99}, "image is not"),
    ],
)
def test_broken_annotations_are_left_out_and_reported(write, caplog, change, reason):
    annotations = [*GOOD["annotations"], {**GOOD["annotations"][0], "id": 2, **change}]
    with caplog.at_level("WARNING"):
        for _ in range(2):
            records, _ = read_coco(write({**GOOD, "annotations": annotations}), "images")
    assert sum(len(record["annotations"]) for record in records) == 1
    assert reason in caplog.text and caplog.text.count("id 2") == 1, "once, however often the file is read"


@pytest.mark.parametrize(
    ("content", "message"), [("{broken", "not valid JSON"), ("[]", "lists no images"), ('{"images": []}', "lists no images")]
)
def test_broken_files_are_named(write, content, message):
    with pytest.raises(UserError, match=rf"labels\.json.*{message}"):
        read_coco(write(content), "images")


def test_missing_file_ends_with_the_cure(tmp_path):
    with pytest.raises(UserError, match=r"none\.json does not exist\. Run this\."):
        load_json(tmp_path / "none.json", cure=" Run this.")


def test_reading_images_never_looks_at_annotations(write):
    broken = {**GOOD, "annotations": "no list at all", "categories": None}
    assert [record["image_id"] for record in read_images(write(broken), "x")] == [7, 9]
    assert all(set(record) == {"file_name", "image_id", "height", "width"} for record in read_images(write(broken), "x"))


def test_folders_are_read_sorted_and_deep(tmp_path):
    for name in ("b.PNG", "deep/a.jpg", "note.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [record["file_name"] for record in read_folder(tmp_path)] == [str(tmp_path / "b.PNG"), str(tmp_path / "deep/a.jpg")]
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no images"):
        read_folder(tmp_path / "empty")
