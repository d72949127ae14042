"""Small image files of every kind a camera or an archive may hand over."""

import struct

import numpy as np
from PIL import Image

KINDS = {"u": 1, "i": 2, "f": 3}  # TIFF's sample formats


def exif(orientation):
    tags = Image.Exif()
    tags[274] = orientation
    return tags


def turned(array, orientation):
    """The upright array of what a camera stored with an EXIF orientation, by the standard's words for row 0 and column 0."""
    return {
        1: array,
        2: array[:, ::-1],  # row 0 is the top, column 0 the right
        3: array[::-1, ::-1],  # bottom, right
        4: array[::-1],  # bottom, left
        5: array.swapaxes(0, 1),  # left, top
        6: array.swapaxes(0, 1)[:, ::-1],  # right, top
        7: array[::-1, ::-1].swapaxes(0, 1),  # right, bottom
        8: array.swapaxes(0, 1)[::-1],  # left, bottom
    }[orientation]


def write_tiff(path, array, orientation=1):
    """An uncompressed little-endian TIFF of any number type and of any number of channels, by the format's specification (6.0)."""
    height, width = array.shape[:2]
    channels = 1 if array.ndim == 2 else array.shape[2]
    data = np.ascontiguousarray(array).tobytes()
    values = {
        256: width,
        257: height,
        258: [array.dtype.itemsize * 8] * channels,
        259: 1,
        262: 2 if channels in (3, 4) else 1,
        273: 0,
        274: orientation,
        277: channels,
        278: height,
        279: len(data),
        **({338: 2} if channels == 4 else {}),
        339: [KINDS[array.dtype.kind]] * channels,
    }
    rest, entries = b"", []
    start = 8 + 2 + 12 * len(values) + 4
    for tag, value in values.items():
        numbers = value if isinstance(value, list) else [value]
        long = tag in (273, 279)
        packed = struct.pack(f"<{len(numbers)}{'I' if long else 'H'}", *numbers)
        if len(packed) > 4:
            rest, packed = rest + packed, struct.pack("<I", start + len(rest))
        entries.append((tag, 4 if long else 3, len(numbers), packed.ljust(4, b"\0")))
    table = b"".join(
        struct.pack("<HHI", tag, kind, count) + (struct.pack("<I", start + len(rest)) if tag == 273 else packed)
        for tag, kind, count, packed in entries
    )
    path.write_bytes(b"II*\0" + struct.pack("<IH", 8, len(values)) + table + struct.pack("<I", 0) + rest + data)
    return path
