"""Instance masks in COCO's formats: polygons, and run-length encodings as lists or compressed into a text."""

from typing import Annotated, Any

import numpy as np
from pycocotools import mask as mask_util
from pydantic import AfterValidator, Field, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from mic_det.data.coco_schema import Number
from mic_det.data.records import Item
from mic_det.validation import faults_of

LONGEST = 6  # characters of 5 bits that a count may have
MOST_PIXELS = 2**31


def even(polygon: list[float]) -> list[float]:
    """A polygon whose numbers come in pairs."""
    if len(polygon) % 2:
        raise PydanticCustomError("polygon", "Input should hold an even number of coordinates")
    return polygon


Count = Annotated[int, Field(strict=True, ge=0)]
Polygons = Annotated[list[Annotated[list[Number], Field(min_length=6), AfterValidator(even)]], Field(min_length=1)]


class RunLengths(TypedDict):
    """Lengths of alternate runs of zeros and ones, column by column, of a mask of `size` (height, width)."""

    size: Annotated[list[Count], Field(min_length=2, max_length=2)]
    counts: list[Count] | str | bytes


POLYGONS, RUN_LENGTHS = TypeAdapter(Polygons), TypeAdapter(RunLengths)


def read_counts(text: str | bytes) -> np.ndarray:
    """The run lengths that a compressed encoding stands for.

    Each number is written in pieces of 5 bits, lowest first, one character from "0" on per piece; 32 is added while pieces
    follow, and the last piece's highest bit is the sign. From the fourth number on, they are differences to the last but one.

    Raises:
        ValueError: when the text is no such encoding.
    """
    pieces = np.frombuffer(text.encode() if isinstance(text, str) else text, dtype=np.uint8).astype(np.int64) - 48
    last = pieces < 32
    if not pieces.size or pieces.min() < 0 or pieces.max() > 63 or not last[-1]:
        raise ValueError("its characters are no run lengths")
    starts = np.concatenate([[0], np.flatnonzero(last)[:-1] + 1])
    lengths = np.diff(np.append(starts, pieces.size))
    if lengths.max() > LONGEST:
        raise ValueError("one of its run lengths is too long")
    shifts = 5 * (np.arange(pieces.size) - np.repeat(starts, lengths))
    counts = np.add.reduceat((pieces & 31) << shifts, starts)
    counts -= np.where(pieces[last] & 16, 1 << (5 * lengths), 0)
    counts[1::2] = counts[1::2].cumsum()
    counts[2::2] = counts[2::2].cumsum()
    return counts


def compressed(mask: Any, height: int | None, width: int | None) -> Item | list[Any]:
    """A mask as detectron2 and the COCO libraries read it: polygons, or {"size", "counts"} with the counts compressed.

    The libraries do not check run lengths: wrong ones end the process or say anything at all.

    Args:
        height, width: of the image; None where they are not known.

    Raises:
        ValueError: that says what is wrong with the mask.
    """
    if not mask:
        raise ValueError("it has none")
    try:
        if not isinstance(mask, dict):
            return POLYGONS.validate_python(mask)
        mask = RUN_LENGTHS.validate_python(mask)
    except ValidationError as error:
        raise ValueError(faults_of(error)[0]) from None
    rows, columns = mask["size"]
    if (height or rows, width or columns) != (rows, columns):
        raise ValueError(f"its size is {mask['size']}, not the image's {[height, width]}")
    listed = isinstance(mask["counts"], list)
    counts = mask["counts"] if listed else read_counts(mask["counts"]).tolist()
    if min(counts, default=-1) < 0 or not 0 < rows * columns == sum(counts) < MOST_PIXELS:
        raise ValueError(f"its run lengths do not add up to the {rows * columns} pixels of its size")
    return mask_util.frPyObjects(mask, rows, columns) if listed else mask


def encoded(mask: Any, height: int | None, width: int | None) -> Item:
    """A mask of either format as a compressed run-length encoding. Raises ValueError as `compressed` does."""
    mask = compressed(mask, height, width)
    if isinstance(mask, dict):
        return mask
    if height is None or width is None:
        raise ValueError("it is a polygon of an image whose size is not known")
    return dict(mask_util.merge(mask_util.frPyObjects(mask, height, width)))
