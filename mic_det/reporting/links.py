"""Links between the pages in one folder: a run's report and the galleries beside it."""

import re
from html import escape, unescape
from pathlib import Path
from urllib.parse import quote

from mic_det.outputs import write_text

HEAD = 4096  # characters of a page that hold its marks
MARK = '<meta name="generator" content="mic-det">'
TITLE = re.compile(r"<title>(.*?)</title>", re.DOTALL)
LINKS = re.compile(r"<!-- links -->.*?<!-- /links -->", re.DOTALL)


def link_pages(folder: str | Path) -> None:
    """Let every page of mic-det in `folder` link to all others; other files there are left as they are."""
    pages = {path: title_of(path) for path in sorted(Path(folder).glob("*.html"))}
    own = {path: title for path, title in pages.items() if title is not None}
    for path in own:
        text = path.read_text(encoding="utf-8")
        others = [f'<a href="{quote(other.name)}">{escape(title)}</a>' for other, title in own.items() if other != path]
        filled = f"<!-- links -->{' '.join(others)}<!-- /links -->"
        linked = LINKS.sub(filled.replace("\\", r"\\"), text, count=1)
        if linked != text:
            write_text(path, linked)


def title_of(path: Path) -> str | None:
    """The title of a page of mic-det; None for any other file."""
    try:
        with path.open(encoding="utf-8") as file:
            head = file.read(HEAD)
    except (OSError, UnicodeDecodeError):
        return None
    found = TITLE.search(head)
    return unescape(found.group(1)) if MARK in head and found else None
