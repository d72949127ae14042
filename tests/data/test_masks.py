"""COCO's mask formats, against pycocotools' own encoder and against broken ones, which it does not survive."""

import math

import numpy as np
import pytest
from pycocotools import mask as mask_util

from mic_det.data.masks import compressed, encoded, read_counts


def run_lengths(bitmap):
    """Lengths of the runs of zeros and ones, in turn, down the columns."""
    flat = bitmap.ravel(order="F")
    borders = np.flatnonzero(np.diff(flat)) + 1
    lengths = np.diff(np.concatenate([[0], borders, [flat.size]])).tolist()
    return [0, *lengths] if flat[0] else lengths


@pytest.mark.parametrize("share", [0, 0.02, 0.5, 0.98, 1])
def test_compressed_run_lengths_are_read_as_they_were_written(share):
    rng = np.random.default_rng(0)
    for size in rng.integers(1, 60, (20, 2)).tolist():
        bitmap = (rng.random(size) < share).astype(np.uint8)
        written = mask_util.encode(np.asfortranarray(bitmap))
        assert read_counts(written["counts"]).tolist() == run_lengths(bitmap)
        listed = {"size": size, "counts": run_lengths(bitmap)}
        assert compressed(listed, *size)["counts"] == written["counts"]
        assert (mask_util.decode(encoded(written, *size)) == bitmap).all()


def test_polygons_stay_and_can_be_encoded():
    polygon = [[1.0, 1, 3, 1, 3, 4, 1, 4]]
    assert compressed(polygon, 5, 6) == polygon
    assert mask_util.decode(encoded(polygon, 5, 6)).sum() == 2 * 3


@pytest.mark.parametrize(
    ("mask", "reason"),
    [
        (None, "it has none"),
        ([], "it has none"),
        ([1, 2, 3, 4, 5, 6], "valid list"),
        ([[1, 2, 3, 4]], "at least 6"),
        ([[1, 2], [3, 4], [5, 6]], "at least 6"),
        ([[1, 2, 3, 4, 5, 6, 7]], "even number"),
        ([[1, 2, 3, 4, 5, math.nan]], "finite"),
        ("polygon", "valid list"),
        ({"size": [4, 4]}, "counts is missing"),
        ({"size": 4, "counts": [16]}, "size is 4"),
        ({"size": [4, 5], "counts": [20]}, "not the image's"),
        ({"size": [4, 4], "counts": [15]}, "do not add up"),
        ({"size": [4, 4], "counts": []}, "do not add up"),
        ({"size": [4, 4], "counts": [-1, 17]}, "greater than or equal to 0"),
        ({"size": [4, 4], "counts": [10**30]}, "do not add up"),
        ({"size": [4, 4], "counts": "P"}, "no run lengths"),
        ({"size": [4, 4], "counts": "garbage"}, "no run lengths"),
        ({"size": [4, 4], "counts": "oooooooooooo0"}, "too long"),
        ({"size": [4, 4], "counts": "1"}, "do not add up"),
        ({"size": [4, 4], "counts": ""}, "no run lengths"),
        ({"size": [4, 4], "counts": "é"}, "no run lengths"),
    ],
)
def test_broken_masks_are_named(mask, reason):
    with pytest.raises(ValueError, match=reason):
        compressed(mask, 4, 4)


def test_polygons_need_the_size_of_their_image():
    with pytest.raises(ValueError, match="size is not known"):
        encoded([[1, 1, 3, 1, 3, 4]], None, None)
