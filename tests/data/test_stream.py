import os
import random
import struct
import zlib

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mic_det.data.build import check_batches
from mic_det.data.detection_mapper import TestMapper
from mic_det.data.segmentation_mapper import SegmentationMapper
from mic_det.data.stream import PositionSampler, Stream, StreamDataset, seeded
from mic_det.errors import UserError
from mic_det.evaluation.networks import SurvivingMapper


def take(iterator, count):
    iterator = iter(iterator)
    return [next(iterator) for _ in range(count)]


def test_seeded_is_reproducible_and_leaves_the_generators_alone():
    def draw():
        return random.random(), np.random.rand(), torch.rand(1).item()

    before = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()
    with seeded(1, 2):
        first = draw()
    with seeded(1, 2):
        assert draw() == first
    with seeded(1, 3):
        assert draw() != first
    assert random.getstate() == before[0]
    assert (np.random.get_state()[1] == before[1]).all() and torch.equal(torch.get_rng_state(), before[2])


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 30), st.integers(1, 3), st.integers(1, 3), st.integers(1, 2), st.integers(0, 20))
def test_an_iteration_sees_the_same_images_however_it_is_divided(size, world, parts, per_batch, start):
    total = world * parts * per_batch
    whole = take(PositionSampler(size, (5,), total, start_iteration=start), 3)
    divided = [take(PositionSampler(size, (5,), total, parts, rank, world, start), 3 * parts) for rank in range(world)]
    for iteration in range(3):
        seen = sorted(place for rank in divided for batch in rank[iteration * parts : (iteration + 1) * parts] for place in batch)
        assert seen == sorted(whole[iteration])


def test_epochs_are_different_permutations_of_all_images():
    places = [place for batch in take(PositionSampler(10, (0,), 5), 4) for place in batch]
    first, second = ([index for index, _ in places[i : i + 10]] for i in (0, 10))
    assert sorted(first) == sorted(second) == list(range(10)) and first != second
    assert [position for _, position in places] == list(range(20))


def test_resuming_is_arithmetic():
    assert take(PositionSampler(7, (1,), 4), 9)[5:] == take(PositionSampler(7, (1,), 4, start_iteration=5), 4)


@pytest.mark.parametrize(
    ("key", "count", "smallest"), [("IMS_PER_BATCH", 3, 1), ("TARGET_IMS_PER_BATCH", 5, 1), ("TARGET_IMS_PER_BATCH", 2, 2)]
)
def test_batches_that_cannot_be_divided_are_named(tiny_cfg, key, count, smallest):
    options = {"SOLVER.IMS_PER_BATCH": 4, "SOLVER.TARGET_IMS_PER_BATCH": 4, "SOLVER.ACCUMULATE": 2, f"SOLVER.{key}": count}
    cfg = tiny_cfg(*(word for option in options.items() for word in option))
    with pytest.raises(UserError, match=rf"SOLVER\.{key} is {count}, but .* a multiple of 2, and at least {2 * smallest}\."):
        check_batches(cfg, smallest)
    check_batches(tiny_cfg("SOLVER.ACCUMULATE", 2), 1)


@pytest.mark.parametrize(("source", "target"), [(2, 4), (4, 2), (4, 1)])
def test_images_that_are_paired_must_be_as_many(tiny_seg_cfg, source, target):
    sizes = ("SOLVER.IMS_PER_BATCH", source, "SOLVER.TARGET_IMS_PER_BATCH", target)
    message = rf"SOLVER\.IMS_PER_BATCH is {source} and SOLVER\.TARGET_IMS_PER_BATCH {target}.*MODEL\.MIC\.MIX\.ENABLED False"
    with pytest.raises(UserError, match=message):
        check_batches(tiny_seg_cfg(*sizes), pairs=True)
    check_batches(tiny_seg_cfg(*sizes))
    check_batches(tiny_seg_cfg(*sizes, "DATASETS.TARGET", ()), pairs=True)


def noisy(record):
    return {"file_name": record["file_name"], "noise": np.random.rand(), "torch": torch.rand(1).item()}


@pytest.mark.parametrize("workers", [0, 2])
def test_augmentation_is_a_function_of_the_position(workers):
    records = [{"file_name": str(index)} for index in range(5)]
    streams = [
        Stream(StreamDataset(records, noisy), PositionSampler(5, (3,), 2, start_iteration=start), workers=count)
        for start, count in ((0, 0), (2, workers))
    ]
    np.random.seed(0)
    whole, resumed = take(streams[0], 5), take(streams[1], 3)
    assert whole[2:] == resumed
    assert len({sample["noise"] for batch in whole for sample in batch}) == 10


def test_unreadable_images_are_replaced_counted_and_reported(caplog):
    def mapper(record):
        if record["file_name"] == "bad":
            raise OSError("truncated")
        return {"file_name": record["file_name"]}

    records = [{"file_name": name} for name in ("a", "bad", "c")]
    stream = Stream(StreamDataset(records, mapper), PositionSampler(3, (0,), 3))
    with caplog.at_level("WARNING"):
        batches = take(stream, 4)
    assert all(len(batch) == 3 and all(s["file_name"] != "bad" for s in batch) for batch in batches)
    assert len(stream.unreadable) == 1
    assert sum("bad: truncated" in record.message for record in caplog.records) == 1


@pytest.mark.parametrize(
    "error",
    [OSError, ValueError, SyntaxError, EOFError, ZeroDivisionError, AssertionError, MemoryError, cv2.error, struct.error]
    + [zlib.error, Image.DecompressionBombError],
)
def test_whatever_a_bad_file_raises_costs_that_file_alone(error):
    def mapper(record):
        if record["file_name"] == "bad":
            raise error("why")
        return {"file_name": record["file_name"]}

    sample = StreamDataset([{"file_name": "bad"}, {"file_name": "good"}], mapper)[(0, 0)]
    assert sample["file_name"] == "good" and sample["skipped"] == ["bad: why"]


def test_an_image_that_becomes_nothing_costs_that_image_alone(tmp_path):
    Image.new("RGB", (4000, 1)).save(tmp_path / "line.png")
    Image.new("RGB", (40, 30)).save(tmp_path / "good.png")
    records = [{"file_name": str(tmp_path / name), "image_id": 0} for name in ("line.png", "good.png")]
    mapper = SegmentationMapper(size=(1024, 512), crop_size=(64, 64), image_format="RGB")
    assert mapper(records[1])["image"].shape == (3, 64, 64)
    assert StreamDataset(records, mapper)[(0, 0)]["file_name"] in {record["file_name"] for record in records}
    detector = TestMapper(shortest=600, longest=1000, image_format="RGB")
    assert [key in SurvivingMapper(detector)(record) for record, key in zip(records, ("unreadable", "image"), strict=True)]


def unreadable(record):
    raise OSError("gone")


def killed(record):
    os.kill(os.getpid(), 9)


@pytest.mark.parametrize(
    ("mapper", "message"), [(unreadable, "None of the 2 images can be read; the first error is x: gone"), (killed, "NUM_WORKERS")]
)
def test_what_ends_a_loaders_process_is_one_sentence(mapper, message):
    stream = Stream(StreamDataset([{"file_name": "x"}] * 2, mapper), PositionSampler(2, (0,), 1), workers=1)
    with pytest.raises(UserError, match=message) as raised:
        next(stream)
    assert "\n" not in str(raised.value)


def test_a_dataset_without_a_readable_image_is_an_error():
    def mapper(record):
        raise OSError("gone")

    with pytest.raises(UserError, match=r"None of the 2 images.*x: gone"):
        StreamDataset([{"file_name": "x"}] * 2, mapper)[(0, 0)]
