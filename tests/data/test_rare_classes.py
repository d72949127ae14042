import json

import cv2
import numpy as np
import pytest
import torch

from mic_det.data.rare_classes import REDRAWS, RareClassDataset, RareClassSampling
from mic_det.data.segmentation import training_data
from mic_det.data.statistics import collect, counts_of, write_statistics
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


def test_statistics_are_made_once_and_checked_against_the_records(label_files, tmp_path):
    records = [{"sem_seg_file_name": path} for path in label_files]
    assert counts_of(records, tmp_path, 2) == [{0: 3, 1: 3}, {1: 3}]
    entries = json.loads((tmp_path / "sample_class_stats.json").read_text())
    assert entries == [{"0": 3, "1": 3, "file": "a/label.png"}, {"1": 3, "file": "b/label.png"}]
    entries[0]["0"] = 77
    (tmp_path / "sample_class_stats.json").write_text(json.dumps(entries))
    assert counts_of(records, tmp_path, 2)[0] == {0: 77, 1: 3}  # read, not counted again
    with pytest.raises(UserError, match=r"does not know .*new\.png: delete the file"):
        counts_of([*records, {"sem_seg_file_name": str(tmp_path / "new.png")}], tmp_path, 2)
    (tmp_path / "sample_class_stats.json").write_text("[{}]")
    with pytest.raises(UserError, match="delete it, and it is made again"):
        counts_of(records, tmp_path, 2)


def test_broken_label_images_are_never_drawn(label_files, tmp_path, caplog):
    (tmp_path / "b/label.png").write_bytes(b"broken")
    records = [{"sem_seg_file_name": path} for path in label_files]
    for _ in range(2):  # counted, then read
        assert counts_of(records, tmp_path, 2) == [{0: 3, 1: 3}, {}]
    assert "1 label images cannot be used and will not be drawn" in caplog.text and "Once they are mended, delete" in caplog.text


def test_a_folder_that_cannot_be_written_is_named(label_files, tmp_path):
    with pytest.raises(UserError, match=r"cannot be written: .*nowhere.*Make the folder writable once"):
        counts_of([{"sem_seg_file_name": path} for path in label_files], tmp_path / "nowhere", 2)


def test_statistics_of_the_published_code_are_understood(tmp_path):
    """Its paths are relative to where it ran."""
    entries = [{"3": 12, "file": "data/gta/labels/00001_labelTrainIds.png"}]
    (tmp_path / "sample_class_stats.json").write_text(json.dumps(entries))
    record = {"sem_seg_file_name": str(tmp_path / "labels/00001_labelTrainIds.png")}
    assert counts_of([record], tmp_path, 19) == [{3: 12}]


def test_labels_beyond_the_classes_are_reported(label_files, tmp_path):
    counts, bad = collect(label_files, 1)
    assert counts == {} and len(bad) == 2 and "label.png has the label 1, but there are 1 classes" in bad[0]
    with pytest.raises(UserError, match="None of the 2 label images"):
        counts_of([{"sem_seg_file_name": path} for path in label_files], tmp_path, 1)
    write_statistics(tmp_path, {})
    assert json.loads((tmp_path / "samples_with_class.json").read_text()) == {}
