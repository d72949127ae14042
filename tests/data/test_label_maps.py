"""Converted label images never replace their sources or each other."""

import cv2
import numpy as np
import pytest

from mic_det.data.label_maps import beside, convert_labels, decode_indices
from mic_det.errors import UserError

TABLE = np.arange(256, dtype=np.uint8)


@pytest.fixture
def labels(tmp_path):
    files = [tmp_path / name / "0.png" for name in ("a", "b")]
    for path in files:
        path.parent.mkdir()
        cv2.imwrite(str(path), np.full((4, 4), 3, np.uint8))
    return files


def test_sources_and_namesakes(labels, tmp_path):
    before = [path.read_bytes() for path in labels]
    with pytest.raises(UserError, match=r"a/0\.png is an input of this command"):
        convert_labels(labels, lambda path: path, decode_indices, TABLE, "labels")
    with pytest.raises(UserError, match=r"a/0\.png and .*b/0\.png would both be converted to .*out/0\.png"):
        convert_labels(labels, lambda path: tmp_path / "out" / path.name, decode_indices, TABLE, "labels")
    assert [path.read_bytes() for path in labels] == before


def test_what_cannot_be_written_is_not_counted(labels):
    beside(labels[0]).mkdir()
    counts, bad = convert_labels(labels, beside, decode_indices, TABLE, "labels")
    assert list(counts) == [str(beside(labels[1]))]
    assert len(bad) == 1 and "0_labelTrainIds.png cannot be written: Is a directory" in bad[0]
