import json
import os
from unittest.mock import patch

import cv2
import numpy as np
import pytest
import torch

from mic_det.data.rare_classes import REDRAWS, RareClassDataset, RareClassSampling
from mic_det.data.segmentation import training_data
from mic_det.data.statistics import collect, counts_of, match_entries, read_statistics, write_statistics
from mic_det.errors import UserError


def test_probabilities_are_the_published_ones():
    """900, 90 and 10 pixels at a temperature of 0.01 (DAFormer, equation 7)."""
    sampling = RareClassSampling([{0: 900, 1: 90, 2: 10}], 0.01, 5)
    assert sampling.probability == pytest.approx([2.2e-39, 3.4e-4, 0.9997], rel=0.03)


def test_images_are_drawn_among_those_that_hold_the_class():
    sampling = RareClassSampling([{0: 100}, {0: 50, 3: 50}, {3: 7}, {3: 8}], 1.0, 7)
    np.random.seed(0)
    drawn = [sampling.draw() for _ in range(2000)]
    assert {image for image, kind in drawn if kind == 0} == {0, 1} and {image for image, kind in drawn if kind == 3} == {1, 3}
    frequency = np.array([150, 65]) / 215
    expected = np.exp(1 - frequency) / np.exp(1 - frequency).sum()
    assert np.mean([kind == 3 for _, kind in drawn]) == pytest.approx(expected[1], abs=0.04)
    first = [image for image, kind in drawn if kind == 0]
    assert np.mean([image == 0 for image in first]) == pytest.approx(0.5, abs=0.05)


def test_a_class_that_no_image_holds_enough_of_is_named():
    with pytest.raises(UserError, match="no image has more than 10 pixels of class 'car': lower it"):
        RareClassSampling([{0: 100, 1: 10}], 0.01, 10, ["road", "car"])


class Mapper:
    """Crops hold the pixels of class 5 that the list says, in turn."""

    def __init__(self, pixels):
        self.pixels, self.reads, self.crops = pixels, 0, 0

    def read(self, record):
        self.reads += 1
        return "whole"

    def crop(self, record, whole):
        assert whole == "whole"
        labels = torch.zeros(10, 10)
        labels.view(-1)[: self.pixels[min(self.crops, len(self.pixels) - 1)]] = 5
        self.crops += 1
        return {"sem_seg": labels, "file_name": record["file_name"]}


@pytest.mark.parametrize(("pixels", "crops"), [([0, 3, 4, 9], 3), ([9], 1), ([0], 1 + REDRAWS)])
def test_crops_are_redrawn_from_one_decoded_image(pixels, crops):
    mapper = Mapper(pixels)
    dataset = RareClassDataset([{"file_name": "a"}], mapper, RareClassSampling([{5: 50}], 0.01, 10), 3)
    dataset.seed = (0,)
    assert dataset[(0, 0)]["file_name"] == "a" and (mapper.reads, mapper.crops) == (1, crops)


def test_the_same_position_gives_the_same_sample(tiny_seg_cfg):
    dataset = training_data(tiny_seg_cfg(), labelled=True)
    assert isinstance(dataset, RareClassDataset)
    dataset.seed = (7,)
    samples = [dataset[(0, position)] for position in (4, 5, 4)]
    assert torch.equal(samples[0]["image"], samples[2]["image"]) and torch.equal(samples[0]["sem_seg"], samples[2]["sem_seg"])
    assert samples[0]["file_name"] != samples[1]["file_name"] or not torch.equal(samples[0]["image"], samples[1]["image"])


@pytest.fixture
def label_files(tmp_path):
    files = []
    for name, values in (("a", [0, 1]), ("b", [1, 255])):
        path = tmp_path / name / "label.png"
        path.parent.mkdir()
        cv2.imwrite(str(path), np.repeat(np.array([values], dtype=np.uint8), 3, axis=0))
        files.append(str(path))
    return files


def age(path, seconds):
    """Make a file older."""
    time = path.stat().st_mtime - seconds
    os.utime(path, (time, time))


def entries_of(folder):
    return json.loads((folder / "sample_class_stats.json").read_text())


def test_statistics_are_made_once_and_checked_against_the_records(label_files, tmp_path):
    records = [{"sem_seg_file_name": path} for path in label_files]
    right = [{0: 3, 1: 3}, {1: 3}]
    assert counts_of(records, tmp_path, 2) == right
    entries = [{"0": 3, "1": 3, "file": "a/label.png"}, {"1": 3, "file": "b/label.png"}]
    assert entries_of(tmp_path) == entries
    with patch("mic_det.data.statistics.collect") as collect_again:
        assert counts_of(records, tmp_path, 2) == right
    collect_again.assert_not_called()
    for broken in ("[{}]", "{}x", "[3]", '{"a": 1}', '[{"file": 3}]', '[{"file": "a/label.png", "x": 1}]', ""):
        (tmp_path / "sample_class_stats.json").write_text(broken)
        with pytest.raises(UserError, match="delete it, and it is made again"):
            counts_of(records, tmp_path, 2)


@pytest.mark.parametrize(
    "first",
    [
        {"0": 77, "file": "a/label.png"},  # another image's
        {"0": 3, "1": 3, "file": "b/label.png"},  # the last of two entries for one file holds
        {"0": -3, "1": 3, "file": "a/label.png"},
        {"0": 3.0, "1": "3", "file": "a/label.png"},
        {"0": 3, "1": 3, "5": 9, "file": "a/label.png"},  # of more classes
        {"file": "a/label.png"},
        {"0": 3, "1": 3, "file": "c/label.png"},
    ],
)
def test_statistics_that_cannot_be_right_are_made_again(label_files, tmp_path, first):
    (tmp_path / "sample_class_stats.json").write_text(json.dumps([first, {"1": 3, "file": "b/label.png"}]))
    assert counts_of([{"sem_seg_file_name": path} for path in label_files], tmp_path, 2) == [{0: 3, 1: 3}, {1: 3}]
    assert {"0": 3, "1": 3, "file": "a/label.png"} in entries_of(tmp_path)


def test_changed_new_and_removed_label_images_are_noticed(label_files, tmp_path):
    records = [{"sem_seg_file_name": path} for path in label_files]
    counts_of(records, tmp_path, 2)
    age(tmp_path / "sample_class_stats.json", 60)
    age(tmp_path / "b/label.png", 3600)
    cv2.imwrite(label_files[0], np.array([[1, 1, 1, 1]], np.uint8))
    assert counts_of(records, tmp_path, 2) == [{1: 4}, {1: 3}]
    assert entries_of(tmp_path)[0] == {"1": 4, "file": "a/label.png"}
    (tmp_path / "new.png").write_bytes((tmp_path / "b/label.png").read_bytes())
    assert counts_of([*records, {"sem_seg_file_name": str(tmp_path / "new.png")}], tmp_path, 2)[2] == {1: 3}
    # A second dataset with the same root keeps what is known of the first.
    assert counts_of([{"sem_seg_file_name": str(tmp_path / "new.png")}], tmp_path, 2) == [{1: 3}]
    assert {entry["file"] for entry in entries_of(tmp_path)} == {"a/label.png", "b/label.png", "new.png"}


def test_broken_label_images_are_never_drawn_until_they_are_mended(label_files, tmp_path, caplog):
    whole = (tmp_path / "b/label.png").read_bytes()
    (tmp_path / "b/label.png").write_bytes(b"broken")
    records = [{"sem_seg_file_name": path} for path in label_files]
    for _ in range(2):  # counted, then read
        assert counts_of(records, tmp_path, 2) == [{0: 3, 1: 3}, {}]
    assert caplog.text.count("1 label images cannot be used and will not be drawn") == 1
    age(tmp_path / "sample_class_stats.json", 60)
    (tmp_path / "b/label.png").write_bytes(whole)
    assert counts_of(records, tmp_path, 2) == [{0: 3, 1: 3}, {1: 3}]


def test_a_folder_that_cannot_be_written_is_named(label_files, tmp_path):
    with pytest.raises(UserError, match=r"cannot be written: .*nowhere.*Make the folder writable once"):
        counts_of([{"sem_seg_file_name": path} for path in label_files], tmp_path / "nowhere", 2)


def test_statistics_of_the_published_code_are_understood(tmp_path):
    """Its paths are relative to where it ran; the same name in two folders stays two images."""
    rows = {"gta/labels": [3, 3], "synthia/labels": [3, 5], "gta/more/labels": [5, 5]}
    for folder, row in rows.items():
        (tmp_path / folder).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / folder / "1.png"), np.array([row], np.uint8))
    entries = [{"3": 2, "file": "data/gta/labels/1.png"}, {"3": 1, "5": 1, "file": "data/synthia/labels/1.png"}]
    (tmp_path / "gta/sample_class_stats.json").write_text(json.dumps(entries))
    record = {"sem_seg_file_name": str(tmp_path / "gta/labels/1.png")}
    names = [str(tmp_path / "gta" / name) for name in ("labels/1.png", "more/labels/1.png")]
    known = read_statistics(tmp_path / "gta")
    assert match_entries(names[:1], tmp_path, known) == {names[0]: "data/gta/labels/1.png"}
    assert match_entries(names, tmp_path / "gta/labels", known) == {}  # which of the two is not certain
    assert counts_of([record, {"sem_seg_file_name": names[1]}], tmp_path / "gta", 19) == [{3: 2}, {5: 2}]


def test_labels_without_any_class_are_one_sentence():
    with pytest.raises(UserError, match="finds no class in any label image"):
        RareClassSampling([{}, {}], 0.01, 10)


def test_labels_beyond_the_classes_are_reported(label_files, tmp_path):
    counts, bad = collect(label_files, 1)
    assert counts == {} and len(bad) == 2 and "label.png has the label 1, but there are 1 classes" in bad[0]
    with pytest.raises(UserError, match="None of the 2 label images"):
        counts_of([{"sem_seg_file_name": path} for path in label_files], tmp_path, 1)
    write_statistics(tmp_path, {})
    assert json.loads((tmp_path / "samples_with_class.json").read_text()) == {}
