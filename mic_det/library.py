"""The library: the configs that come with the package, by name. Needs neither torch nor detectron2."""

import ast
import functools
import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from mic_det.errors import UserError, did_you_mean

logger = logging.getLogger(__name__)
PACKAGE = Path(__file__).resolve().parent
BASES = "_base_"
# Of detection, the stem names no task, and the published combination of MIC and SADA has the plain name of its transfer.
TASKS = {"_seg_": "segmentation", "_cls_": "classification"}
PLAIN = "mic_sada"
Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Description:
    """What a config of the library is for.

    Attributes:
        name: its stem, by which it is found.
        task: "detection", "segmentation" or "classification".
        method: the stem without transfer and task, e.g. "mic_daformer"; of the plain name of a transfer, "mic_sada".
        source: names of the labelled training data sets, joined by ", ".
        target: the same of the unlabelled ones; of the test data where there are none (source only, oracle).
        path: the YAML file.
        summary: one line for people, the file's first.
    """

    name: str
    task: str
    method: str
    source: str
    target: str
    path: Path
    summary: str


def folder() -> Path:
    """`configs/`: of the checkout that the package lies in, else the one that was installed with it."""
    checkout = PACKAGE.parent / "configs"
    return checkout if (checkout / BASES).is_dir() else PACKAGE / "configs"


def names() -> list[str]:
    """The stems of all configs that can be run, sorted."""
    return sorted(files())


@functools.cache
def files() -> dict[str, Path]:
    """{stem: file} of all configs that can be run. No stem stands twice, whatever the folder."""
    return {path.stem: path for path in folder().rglob("*.yaml") if path.parent.name != BASES}


def find(name: str | Path, start: str | Path = ".", what: str = "Config file") -> Path:
    """The file that a name means: a file that is there, else one of the library.

    Args:
        name: a file, or a config of the library: its stem, with or without `.yaml` and `configs/`. A place in `configs/` where a
            config lay formerly will do and is answered with a warning that tells the present one.
        start: the folder that a relative file name is seen from.
        what: the file's role, for the message.

    Raises:
        UserError: when there is neither.
    """
    path = Path(start) / os.path.expanduser(name)
    if os.path.isfile(path):
        return path
    known = in_library(Path(os.path.abspath(path))) or in_library(Path(name))
    if known is not None:
        return known
    if os.path.exists(path):  # a folder: for the reader to refuse
        return path
    hint = did_you_mean(Path(name).stem, names())
    raise UserError(f"{what} {path} does not exist, and no config of the library has that name.{hint}")


def asset(name: str | Path) -> Path:
    """A file that a config names, such as a text bank: one of the library where it begins with `configs/` and is not there."""
    path, within = Path(name), inside(Path(name))
    if not os.path.isfile(path) and path.parts[:1] == ("configs",) and within is not None and (folder() / within).is_file():
        return folder() / within
    return path


def in_library(name: Path) -> Path | None:
    """The library's file of a name that is not one in the current folder; None where it names nothing in the library."""
    within = inside(name)
    if within is None:
        return None
    for place in (folder() / within, folder() / f"{within}.yaml"):
        if place.suffix == ".yaml" and os.path.isfile(place):
            return place
    found = files().get(within.name.removesuffix(".yaml"))
    if found is not None and name.parent != Path("."):
        tell_new_place(str(name), f"configs/{found.relative_to(folder()).as_posix()}")
    return found


def inside(name: Path) -> Path | None:
    """A name seen from `configs/`, or None if it points elsewhere."""
    if name.is_absolute():
        return name.relative_to(folder()) if name.is_relative_to(folder()) else None
    if name.parts[:1] == ("configs",):
        return Path(*name.parts[1:])
    return name if len(name.parts) == 1 else None


@functools.cache
def tell_new_place(old: str, new: str) -> None:
    """Warn once per process."""
    logger.warning("%s has moved to %s, or in short %s; the old name will go in the next release.", old, new, Path(new).stem)


def describe(name: str | Path) -> Description:
    """What a config of the library is for, from its name and its YAML.

    Raises:
        UserError: when there is no such config.
    """
    path = find(name)
    data = datasets(path)
    return Description(
        name=path.stem,
        task=next((task for mark, task in TASKS.items() if mark in path.stem), "detection"),
        method=method_of(path.stem),
        source=", ".join(data.get("TRAIN", ())),
        target=", ".join(data.get("TARGET") or data.get("TEST", ())),
        path=path,
        summary=summary(path),
    )


def method_of(stem: str) -> str:
    """The part of a config's stem that names its method."""
    for mark in TASKS:
        if mark in stem:
            return stem.split(mark, 1)[1]
    transfers = [base.stem for base in (folder() / BASES).glob("*.yaml") if stem == base.stem or stem.startswith(f"{base.stem}_")]
    return stem[len(max(transfers, key=len, default="")) :].removeprefix("_") or PLAIN


def summary(path: Path) -> str:
    """A YAML file's first line, if it is a comment."""
    with path.open(encoding="utf-8") as lines:
        first = next(lines, "").strip()
    return first.removeprefix("# ") if first.startswith("#") else ""


@functools.cache
def datasets(path: Path) -> dict[str, Any]:
    """The section DATASETS of a config and its bases, its tuples read."""
    content = yaml.load(path.read_text(encoding="utf-8"), Loader)
    base = content.get("_BASE_")
    inherited = datasets(find(base, path.parent)) if base else {}
    own = content.get("DATASETS", {})
    return inherited | {key: ast.literal_eval(value) if isinstance(value, str) else value for key, value in own.items()}
