"""Files that are no weights: one sentence that says what they are."""

import io
import json
import pickle
import tarfile
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from mic_det.checkpoint.reading import read_weights
from mic_det.errors import UserError


def archive(*names):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as opened:
        for name in names:
            opened.writestr(name, b"x")
    return buffer.getvalue()


def tar():
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as opened:
        opened.addfile(tarfile.TarInfo("weights.pth"))
    return buffer.getvalue()


def saved(content):
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def npz():
    buffer = io.BytesIO()
    np.savez(buffer, a=np.zeros(3))
    return buffer.getvalue()


def npy():
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    return buffer.getvalue()


def torchscript():
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), buffer)
    return buffer.getvalue()


FILES = {
    "git-lfs pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
    "is empty": b"",
    "HDF5": b"\x89HDF\r\n\x1a\n" + bytes(100),
    "ONNX": b"\x08\x07\x12\x07pytorch" + bytes(50),
    "single numpy array": npy(),
    "npz archive": npz(),
    "TorchScript": torchscript(),
    "Keras": archive("metadata.json", "config.json", "model.weights.h5"),
    "a zip archive": archive("readme.txt"),
    "a tar archive": tar(),
    "gzip": b"\x1f\x8b" + bytes(20),
    "web page": b"<!DOCTYPE html><html><body>Sign in</body></html>",
    "JSON": json.dumps({"weight_map": {}}).encode(),
    "a text file": "Größe: 12\n".encode(),
    "incomplete": saved({"a": torch.zeros(1000)})[:2000],
    "damaged": bytes(range(128, 256)),
}


@pytest.mark.parametrize("suffix", [".pth", ".pkl"])
@pytest.mark.parametrize("what", FILES)
def test_the_sentence_says_what_the_file_is(tmp_path, what, suffix):
    path = tmp_path / f"file{suffix}"
    path.write_bytes(FILES[what])
    with pytest.raises(UserError) as caught:
        read_weights(path)
    sentence = str(caught.value)
    assert str(path) in sentence and what in sentence and "\n" not in sentence and "weights_only" not in sentence


CONTENTS = {
    "wants to run torch.nn.modules.linear.Linear": torch.nn.Linear(2, 2),
    "holds a list, not a state dict": [torch.zeros(2)],
    "holds a int, not a state dict": 3,
    "its state dict is empty": {},
    "2 of its 3 entries are no tensors, e.g. epoch (int), name (str)": {"w": torch.zeros(1), "epoch": 3, "name": "x"},
    "but generator, discriminator": {"generator": {"w": torch.zeros(1)}, "discriminator": {"w": torch.zeros(1)}},
}


@pytest.mark.parametrize("what", CONTENTS)
def test_the_sentence_says_what_the_file_holds(tmp_path, what):
    torch.save(CONTENTS[what], tmp_path / "file.pth")
    with pytest.raises(UserError) as caught:
        read_weights(tmp_path / "file.pth")
    assert what in str(caught.value) and "weights_only" not in str(caught.value)


@pytest.mark.parametrize("content", [[1, 2], 7, {}, {"model": {}}, {"model": {"a": "text"}}])
def test_pickles_of_something_else(tmp_path, content):
    (tmp_path / "file.pkl").write_bytes(pickle.dumps(content))
    with pytest.raises(UserError, match=r"file\.pkl"):
        read_weights(tmp_path / "file.pkl")


@pytest.mark.parametrize("content", [b"", b"abc", b"\x08" + bytes(7) + b"{}", saved({})])
def test_broken_safetensors(tmp_path, content):
    (tmp_path / "x.safetensors").write_bytes(content)
    with pytest.raises(UserError, match=r"x\.safetensors"):
        read_weights(tmp_path / "x.safetensors")


def test_safetensors_are_read_whatever_their_name_is(tmp_path):
    for name in ("x.safetensors", "x.pth"):
        save_file({"w": torch.ones(2)}, tmp_path / name)
        assert read_weights(tmp_path / name)["model"]["w"].tolist() == [1, 1]
    save_file({}, tmp_path / "empty.safetensors")
    with pytest.raises(UserError, match="holds no weights"):
        read_weights(tmp_path / "empty.safetensors")


def test_a_folder(tmp_path):
    with pytest.raises(UserError, match="is a folder"):
        read_weights(tmp_path)


@pytest.mark.parametrize("wrapper", ["model", "state_dict", "model_state", "model_state_dict", "net", "ema"])
@pytest.mark.parametrize("prefix", ["", "module.", "module._orig_mod.", "model."])
def test_wrappers_and_prefixes_of_other_libraries(tmp_path, wrapper, prefix):
    torch.save({wrapper: {f"{prefix}w": torch.ones(2)}, "epoch": 3, "best": torch.tensor(1.0)}, tmp_path / "x.pth")
    assert list(read_weights(tmp_path / "x.pth")["model"]) == ["w"]
    torch.save({"state": 1, "trainer": {wrapper: {f"{prefix}w": torch.ones(2)}}}, tmp_path / "deep.pth")
    with pytest.raises(UserError, match="but trainer"):
        read_weights(tmp_path / "deep.pth")
