"""What COCO files and COCO results may hold. Faults of the whole are errors; faulty entries are counted and left out.

The format: https://cocodataset.org/#format-data and https://cocodataset.org/#format-results.
"""

from collections import Counter
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError
from typing_extensions import NotRequired, TypedDict

from mic_det.data.faults import Faults
from mic_det.data.records import Content, Item
from mic_det.errors import UserError
from mic_det.validation import faults_of, path_of, refuse, shortened

LARGEST = 2**20  # pixels along a side that OpenCV reads


def identifier(value: Any) -> int | str:
    """An id. Tables write whole numbers as floats; True is no number."""
    if isinstance(value, int | str) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    raise PydanticCustomError("identifier", "Input should be a whole number or a text")


def readable(text: str) -> str:
    """A text that can be part of a path."""
    try:
        text.encode()
    except UnicodeEncodeError:
        raise PydanticCustomError("text", "Input should hold no half of a surrogate pair") from None
    if "\0" in text:
        raise PydanticCustomError("text", "Input should hold no null character")
    return text


def number(value: Any) -> Any:
    """True is no number."""
    if isinstance(value, bool):
        raise PydanticCustomError("number", "Input should be a number")
    return value


def flag(value: Any) -> Any:
    """Null is no."""
    return 0 if value is None else value


Id = Annotated[Any, PlainValidator(identifier)]
Text = Annotated[str, Field(min_length=1), AfterValidator(readable)]
Side = Annotated[int, BeforeValidator(number), Field(gt=0, le=LARGEST)] | None
Number = Annotated[float, Field(strict=True, ge=-LARGEST, le=LARGEST, allow_inf_nan=False)]
Box = Annotated[list[Number], Field(min_length=4, max_length=4)]
Flag = Annotated[int, BeforeValidator(flag), Field(ge=0, le=1)]


class NoLabels(UserError):
    """A file that has images alone, where labels are needed."""


class Category(TypedDict):
    """A class."""

    id: Id
    name: Text


class Image(TypedDict):
    """`width` and `height` may be missing."""

    id: Id
    file_name: Text
    width: NotRequired[Side]
    height: NotRequired[Side]


class Annotation(TypedDict):
    """`id` serves messages alone, `area` nothing; masks are looked at where they are used."""

    id: NotRequired[Any]
    image_id: Id
    category_id: Id
    bbox: Box
    iscrowd: NotRequired[Flag]
    difficult: NotRequired[Flag]
    segmentation: NotRequired[Any]


class Detection(TypedDict):
    """A box that a detector found, in a list of COCO results."""

    image_id: Id
    category_id: Id
    bbox: Box
    score: Annotated[float, Field(strict=True, allow_inf_nan=False)]
    segmentation: NotRequired[Any]


class Unlabelled(TypedDict):
    """What a file needs whose labels are not used."""

    images: Annotated[list[Any], Field(min_length=1)]


class Labelled(Unlabelled):
    """What a file needs whose labels are used."""

    categories: Annotated[list[Category], Field(min_length=1)]
    annotations: list[Any]


class Images(TypedDict):
    """The images of a file, each to be checked."""

    images: list[Image]


class Annotations(TypedDict):
    """The annotations of a file, each to be checked."""

    annotations: list[Annotation]


# What is wrong with an entry, by the field at fault; "" is the entry itself.
KINDS = {
    "images": {
        "": "image left out because it is no dictionary",
        "id": "image left out because its id is neither a whole number nor a text",
        "file_name": "image left out because its file_name is no text",
        "width": "image left out because its width is no positive whole number",
        "height": "image left out because its height is no positive whole number",
    },
    "annotations": {
        "": "annotation left out because it is no dictionary",
        "image_id": "annotation left out because its image_id is neither a whole number nor a text",
        "category_id": "annotation left out because its category_id is neither a whole number nor a text",
        "bbox": "annotation left out because its bbox is not a list of four numbers",
        "bbox[]": f"annotation left out because its bbox holds something that is not a finite number within {LARGEST}",
        "iscrowd": "annotation left out because its iscrowd is neither 0 nor 1",
        "difficult": "annotation left out because its difficult is neither 0 nor 1",
    },
}
STRUCTURE: dict[bool, TypeAdapter[Any]] = {False: TypeAdapter(Unlabelled), True: TypeAdapter(Labelled)}
ENTRIES: dict[str, TypeAdapter[Any]] = {
    "images": TypeAdapter(Images),
    "annotations": TypeAdapter(Annotations),
}
DETECTIONS: TypeAdapter[Any] = TypeAdapter(list[Detection])


def check_structure(content: Any, where: str, labelled: bool) -> Content:
    """The parts of a COCO dictionary that are used, their entries still unchecked.

    Args:
        labelled: with categories and annotations; otherwise they are not even looked at.

    Raises:
        NoLabels: when there are no annotations.
        UserError: that lists all faults.
    """
    if not isinstance(content, dict) or not content.get("images"):
        hint = " It holds COCO results: detections, no annotations." if is_results(content) else ""
        raise UserError(f"{where} lists no images: it must be a COCO dictionary with images, annotations and categories.{hint}")
    if labelled and content.get("annotations") is None:
        raise NoLabels(f"{where} has no annotations: it can serve as DATASETS.TARGET, not for training or evaluation.")
    try:
        found = STRUCTURE[labelled].validate_python(content)
    except ValidationError as error:
        refuse(f"{where} is no COCO file", faults_of(error))
    for field in ("id", "name") if labelled else ():
        counts = Counter(category[field] for category in found["categories"])
        refuse(where, [f"the category {field} {shortened(value)} stands {n} times" for value, n in counts.items() if n > 1])
    return found


def is_results(content: Any) -> bool:
    """Whether a file's content looks like a list of COCO results."""
    return isinstance(content, list) and bool(content) and isinstance(content[0], dict) and "score" in content[0]


def usable_entries(content: Content, part: Literal["images", "annotations"], where: str, faults: Faults) -> list[Item]:
    """The entries of one list that follow the schema; the others go to `faults`.

    Raises:
        UserError: when there are images, but none follows the schema.
    """
    entries = content[part]
    try:
        return ENTRIES[part].validate_python({part: entries})[part]
    except ValidationError as error:
        places: dict[Any, ErrorDetails] = {}
        for fault in error.errors(include_url=False, include_context=False):
            places.setdefault(fault["loc"][1], fault)
        if part == "images" and len(places) == len(entries):
            refuse(where, faults_of(error))
    for index, fault in places.items():
        _, _, *fields = fault["loc"]
        kind = KINDS[part]["".join("[]" if isinstance(name, int) else name for name in fields[:2])]
        value = "missing" if fault["type"] == "missing" else shortened(fault["input"])
        faults.add(kind, f"{path_of(fault['loc'])} is {value}{name_of(entries[index])}")
    kept = [entry for index, entry in enumerate(entries) if index not in places]
    return ENTRIES[part].validate_python({part: kept})[part]


def name_of(entry: Any) -> str:
    """` (id 5)`, where an entry has an id."""
    return f" (id {shortened(entry['id'])})" if isinstance(entry, dict) and "id" in entry else ""


def validate_detections(content: Any, where: str) -> list[Item]:
    """COCO results. Raises UserError that lists all faults."""
    try:
        found = DETECTIONS.validate_python(content)
    except ValidationError as error:
        refuse(f"{where} must be a list of entries with bbox, category_id, image_id, score", faults_of(error))
    negative = [
        f"[{index}].bbox is {item['bbox']}: its size is negative" for index, item in enumerate(found) if min(item["bbox"][2:]) < 0
    ]
    refuse(where, negative)
    return found
