"""The files below a user's folder."""

import os
from pathlib import Path

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".ppm", ".pgm"}


def find_files(folder: str | Path, suffixes: str | tuple[str, ...] = tuple(IMAGE_SUFFIXES)) -> list[Path]:
    """Files below `folder` whose names end in one of `suffixes`, in upper or lower case, sorted.

    Links to folders are followed; each folder is read once, under its own path where it lies below `folder`, so that links may
    run in circles. Hidden files and folders (`._a.jpg`, `.thumbnails`) are passed over. Links to missing files are kept: whoever
    opens them reports them.
    """
    endings = (suffixes,) if isinstance(suffixes, str) else tuple(suffixes)
    endings = tuple(ending.lower() for ending in endings)
    files, seen, places = [], set(), [str(folder)]
    for place in places:
        for base, folders, names in os.walk(place):
            real = os.path.realpath(base)
            # os.walk enters no links: those wait here until every real folder has been seen.
            folders[:] = [] if real in seen else sorted(name for name in folders if not name.startswith("."))
            if real in seen:
                continue
            seen.add(real)
            places += [path for path in (os.path.join(base, name) for name in folders) if os.path.islink(path)]
            files += [Path(base, name) for name in names if not name.startswith(".") and name.lower().endswith(endings)]
    return sorted(files)
