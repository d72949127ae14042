"""Writing results: whole files or none, over no input, each under a name of its own, and a sentence where it fails."""

import contextlib
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import cv2
import numpy as np

from mic_det.errors import UserError


@contextlib.contextmanager
def writing(path: str | Path) -> Iterator[None]:
    """Turn an OSError into a UserError that names `path` and the reason: no permission, disk full, a folder of that name."""
    try:
        yield
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror or error}.") from error


def write_atomically(path: str | Path, write: Callable[[Path], object], sync: bool = True) -> None:
    """Call `write(temporary path)`, then move the file into place, so that `path` is always whole.

    Args:
        sync: wait until the disk holds the file.

    Raises:
        UserError: when it cannot be written; what was at `path` before is still there.
    """
    path = Path(path)
    if path.is_char_device():  # such as /dev/null, which no file must replace
        write(path)
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            write(temporary)
            if sync:
                with temporary.open("rb") as file:
                    os.fsync(file.fileno())
            os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def write_bytes(path: str | Path, content: bytes, sync: bool = True) -> None:
    """Write a file as `write_atomically` does."""
    write_atomically(path, lambda temporary: temporary.write_bytes(content), sync)


def write_text(path: str | Path, text: str) -> None:
    """Write a UTF-8 text file, its line ends as they are, as `write_atomically` does."""
    write_bytes(path, text.encode())


def write_json(path: str | Path, content: object, indent: int | None = None) -> None:
    """Write a JSON file as `write_atomically` does."""
    write_text(path, json.dumps(content, indent=indent))


def write_image(path: str | Path, image: np.ndarray, options: tuple = ()) -> None:
    """Write HxWx3 BGR or HxW pixels in the format of the path's suffix, as `write_atomically` does.

    Args:
        options: of OpenCV's encoder.
    """
    try:
        done, data = cv2.imencode(Path(path).suffix, image, options)
    except cv2.error:
        done = False
    if not done:
        size = f"{image.shape[1]} x {image.shape[0]}"
        raise UserError(f"{path} cannot be written: the format does not take {size} {image.dtype} pixels.")
    write_bytes(path, data.tobytes(), sync=False)


def distinct_names(paths: Iterable[Path], suffix: str) -> list[Path]:
    """A path of its own with `suffix` for each of `paths`; `a.png` and `a.jpg` become `a.png.jpg` and `a.jpg.jpg`.

    Names that differ only in upper and lower case count as the same: some file systems keep only one of them.
    """
    paths = list(paths)
    plain = [path.with_suffix(suffix) for path in paths]
    count = Counter(map(key_of, plain))
    taken = {key for key, number in count.items() if number == 1}
    return [
        short if count[key_of(short)] == 1 else free_name(path.with_name(path.name + suffix), taken)
        for path, short in zip(paths, plain, strict=True)
    ]


def key_of(path: Path) -> str:
    """What two paths share that some file system takes for one."""
    return str(path).casefold()


def free_name(path: Path, taken: set[str]) -> Path:
    """`path`, or the first of `path_`, `path__`, ... that is not taken; it is taken then."""
    while key_of(path) in taken:
        path = path.with_stem(f"{path.stem}_")
    taken.add(key_of(path))
    return path


def refuse_unwritable(folder: str | Path, option: str = "--output") -> None:
    """Raise a UserError that names the command's `option` when files cannot be made in `folder`, which need not exist yet."""
    try:
        Path(folder).stat()
    except (FileNotFoundError, NotADirectoryError):
        pass  # its parents tell
    except (OSError, ValueError) as error:  # no name of a folder, or one that nobody may look at
        raise UserError(f"{option}: nothing can be written to {folder}: {getattr(error, 'strerror', None) or error}.") from None
    nearest = next(path for path in (Path(folder).absolute(), *Path(folder).absolute().parents) if path.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        reason = "permission is missing" if nearest.is_dir() else "it is no folder"
        raise UserError(f"{option}: nothing can be written to {folder}, because of {nearest}: {reason}.")


def refuse_overwrite(inputs: Iterable[str | Path], outputs: Iterable[str | Path], option: str = "--output") -> None:
    """Raise a UserError that names the command's `option` when a file to write is one that is read, by whatever path."""
    read = {file_of(path) for path in inputs if path and Path(path).exists()}
    for path in outputs:
        if Path(path).exists() and file_of(path) in read:
            raise UserError(f"{option}: {path} is an input of this command and would be overwritten: choose another place.")


def file_of(path: str | Path) -> tuple[int, int]:
    """What is the same for all paths and links of a file."""
    status = Path(path).stat()
    return status.st_dev, status.st_ino
