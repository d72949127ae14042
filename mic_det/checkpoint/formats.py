"""What a file is that cannot be read as weights, by its first bytes, and what to do about it."""

import re
import zipfile
from pathlib import Path

RESAVE = "load it in the library that wrote it, save the weights as a PyTorch state dict, and name that file"
AGAIN = "download or copy it again"
UNPACK = "unpack it and name the weight file inside"
# (first bytes, what the file is, what to do)
SIGNATURES = (
    (
        b"version https://git-lfs",
        "a git-lfs pointer instead of the weights",
        "run `git lfs pull` where it came from, or download it",
    ),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras and TensorFlow write it", RESAVE),
    (
        b"\x93NUMPY",
        "a single numpy array",
        "save a dictionary {name: array} as .pkl, or a PyTorch state dict, and name that file",
    ),
    (b"GGUF", "a GGUF file of quantised weights", "name the original model's .safetensors or .pth"),
    (b"\x1f\x8b", "a gzip archive", UNPACK),
    (b"BZh", "a bzip2 archive", UNPACK),
    (b"\xfd7zXZ\x00", "an xz archive", UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", UNPACK),
    (b"Rar!", "a RAR archive", UNPACK),
)
ZIP, TAR, TAR_OFFSET = b"PK\x03\x04", b"ustar", 257
# The first field of ONNX's protobuf is its version, the second a text or a message.
ONNX = re.compile(rb"\x08[\x01-\x20][\x12\x1a\x22\x2a\x32\x3a\x42]", re.DOTALL)
HEAD = 1024  # bytes that are looked at


def reason(path: str | Path, error: Exception | None = None) -> str:
    """Why a file could not be read and what to do, to stand after "cannot be read: ".

    Args:
        error: what reading it raised.
    """
    with Path(path).open("rb") as file:
        head = file.read(HEAD)
    kind = kind_of(path, head)
    if kind is not None:
        return f"it is {kind[0]}; {kind[1]}."
    wanted = re.search(r"(?:GLOBAL|call) ([\w.]+)", str(error))
    if wanted:
        return (
            f"it holds more than tensors and wants to run {wanted[1]}, as a whole pickled model would; where it was made, save "
            "model.state_dict() alone, and name that file."
        )
    return f"it is damaged, incomplete or no weight file; {AGAIN}, or name a .pth, .pkl or .safetensors file."


def kind_of(path: str | Path, head: bytes) -> tuple[str, str] | None:
    """(what a file is, what to do) for the kinds that PyTorch does not read, otherwise None."""
    if not head:
        return "empty", AGAIN
    if head.startswith(ZIP):
        return kind_of_zip(path)
    if head[TAR_OFFSET:].startswith(TAR):
        return "a tar archive", UNPACK
    for first, what, cure in SIGNATURES:
        if head.startswith(first):
            return what, cure
    if Path(path).suffix == ".onnx" or ONNX.match(head):
        return "an ONNX model, which cannot be trained or loaded here", "name the checkpoint that it was exported from"
    return kind_of_text(head)


def kind_of_zip(path: str | Path) -> tuple[str, str] | None:
    """The same for a zip archive, which PyTorch's own files are too."""
    try:
        names = zipfile.ZipFile(path).namelist()
    except zipfile.BadZipFile:
        return "incomplete, as a broken download leaves it", AGAIN
    if any(name.endswith("constants.pkl") or "/code/" in name for name in names):
        return "a TorchScript archive, a program with its weights", "name the checkpoint that it was exported from"
    if any(name.endswith(".npy") for name in names):
        return "an npz archive of numpy arrays", "save a dictionary {name: array} as .pkl, or a PyTorch state dict, and name that"
    if any(name.endswith(".h5") for name in names):
        return "a Keras model", RESAVE
    return None if any(name.endswith("data.pkl") for name in names) else ("a zip archive", UNPACK)


def kind_of_text(head: bytes) -> tuple[str, str] | None:
    """The same for text; None when there are bytes that text has not."""
    try:
        text = head.decode().lstrip("\ufeff \r\n\t")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4:  # not just a letter that was cut in two
            return None
        text = head[: error.start].decode()
    if not text.isprintable() and re.search(r"[^\s\x20-\x7e\x80-\U0010ffff]", text):
        return None
    if text.startswith("<"):
        return "a web page or XML", "its address needs a login or shows a page about the file: download the file itself"
    return ("JSON" if text.startswith(("{", "[")) else "a text file"), "name the file with the weights"
