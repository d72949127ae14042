"""What an entry of DATASETS.DECLARE may hold, for each format."""

from pathlib import PurePath
from typing import Annotated, Any

from annotated_types import Len
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from mic_det.config.ranges import Text, that
from mic_det.errors import hinted
from mic_det.validation import path_of, shortened

Name = Annotated[Text, Len(1), that(lambda value: "\0" not in value, "must not hold a null character")]
# Evaluation names folders after datasets.
DatasetName = Annotated[
    Name, that(lambda value: not {"..", "/"} & set(PurePath(value).parts), "must not be an absolute path or hold '..'")
]
Classes = Annotated[list[Name], Len(1), that(lambda value: len(value) == len(set(value)), "must not name a class twice")]
Mapping = Annotated[dict[Name, Name], Len(1)]


class Images(BaseModel):
    """No labels. `images` is a folder, absolute or below $DETECTRON2_DATASETS, like every path here."""

    model_config = ConfigDict(strict=True, extra="forbid")

    name: DatasetName
    format: str
    images: Name


class Coco(Images):
    """`annotations` is a COCO JSON file.

    `classes` names the classes to use, in order; `mapping` renames the dataset's own ({its name: wanted name}).
    """

    annotations: Name
    classes: Classes | None = None
    mapping: Mapping | None = None


class Voc(Coco):
    """`annotations` is a folder of XML files, `split` a list of image names."""

    split: Name | None = None


class Yolo(Coco):
    """`annotations` is a folder of text files like the images' tree, `classes` the names of their class numbers."""

    classes: Classes


class Cityscapes(Images):
    """`images` is the folder that holds gtFine/ and leftImg8bit/, `split` train or val."""

    split: Name
    classes: Classes | None = None
    mapping: Mapping | None = None


class Labels(Images):
    """For segmentation: `annotations` is a folder of label images (one class index per pixel, 255 for none).

    They lie like the images' tree; names may differ by `image_suffix` and `label_suffix`. `classes` names the indices.
    """

    annotations: Name
    classes: Classes
    image_suffix: Text = ""
    label_suffix: Name = ".png"


class ImageList(Images):
    """For classification: `annotations` is a text file with an image's path below `images` and its class index per line.

    `classes` names the indices; without, the images' folders do.
    """

    annotations: Name
    classes: Classes | None = None


class ClassFolders(Images):
    """For classification: `images` has one subfolder per class, which `classes` may choose and order."""

    classes: Classes | None = None


FORMATS: dict[str, type[Images]] = {
    "coco": Coco,
    "voc": Voc,
    "yolo": Yolo,
    "cityscapes": Cityscapes,
    "labels": Labels,
    "image_list": ImageList,
    "class_folders": ClassFolders,
    "images": Images,
}


def read_entry(content: Any) -> tuple[Images | None, list[str]]:
    """(the entry, []), or (None, one phrase for each of its faults)."""
    name = content.get("name") if isinstance(content, dict) else None
    if not name:
        return None, [f"{shortened(content)} is not a dataset: it needs at least a name, a format and images"]
    where, kind = f"dataset {shortened(name)}", content.get("format")
    if not isinstance(kind, str) or kind not in FORMATS:
        problem = f"{where}: format {shortened(kind)} is not known, choose from {', '.join(FORMATS)}"
        return None, [hinted(problem, kind, FORMATS)]
    try:
        return FORMATS[kind].model_validate(content), []
    except ValidationError as error:
        return None, [f"{where}: {phrase(fault, kind)}" for fault in error.errors(include_url=False)]


def phrase(fault: ErrorDetails, kind: str) -> str:
    """What one of pydantic's faults says of an entry of format `kind`."""
    path = path_of(fault["loc"])
    if fault["type"] == "missing":
        return f"a dataset of format {kind} needs '{path}'"
    if fault["type"] == "extra_forbidden":
        others = [name for name, model in FORMATS.items() if path in model.model_fields]
        if others:
            return f"'{path}' is not for format {kind}, but for {', '.join(others)}"
        return hinted(f"unknown key '{path}'", path, {key for model in FORMATS.values() for key in model.model_fields})
    return f"{path} is {shortened(fault['input'])}: {fault['msg']}"
