"""A weight file can hold arrays and nothing that runs."""

import os
import pickle
from collections import OrderedDict

import numpy as np
import pytest
import torch
from detectron2.modeling import build_model

from mic_det.checkpoint import weights
from mic_det.checkpoint.pickles import load_pickle
from mic_det.errors import UserError


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_and_plain_values_are_read(tmp_path, protocol):
    content = OrderedDict(model={"a": np.arange(6.0).reshape(2, 3), "n": np.float32(2)}, __author__="x", flags=[1, None, True])
    (tmp_path / "w.pkl").write_bytes(pickle.dumps(content, protocol=protocol))
    found = load_pickle(tmp_path / "w.pkl")
    assert np.array_equal(found["model"]["a"], content["model"]["a"]) and found["model"]["n"] == 2
    assert found["flags"] == [1, None, True]


class Malicious:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.system, (f"touch {self.marker}",)


@pytest.mark.parametrize("suffix", [".pkl", ".pth"])
def test_a_malicious_file_is_refused_and_not_executed(tmp_path, tiny_cfg, suffix):
    marker, file = tmp_path / "executed", tmp_path / f"evil{suffix}"
    content = {"model": {"x": Malicious(marker)}, "__author__": "x"}
    file.write_bytes(pickle.dumps(content)) if suffix == ".pkl" else torch.save(content, file)
    with pytest.raises(UserError, match=rf"evil\{suffix}.*(system|refused|cannot be read)"):
        weights.load_weights(build_model(tiny_cfg()), str(file))
    assert not marker.exists()
    pickle.loads(pickle.dumps(Malicious(marker)))
    assert marker.exists()  # the file would have done harm


def test_broken_files_are_named(tmp_path):
    (tmp_path / "half.pkl").write_bytes(pickle.dumps({"model": np.zeros(100)})[:50])
    with pytest.raises(UserError, match=r"half\.pkl were refused"):
        load_pickle(tmp_path / "half.pkl")
