"""The fenced blocks of README.md, CONTRIBUTING.md and docs/, in order."""

import re
import shlex
import textwrap
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import REPOSITORY

PAGES = [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md", REPOSITORY / "datasets/README.md"]
PAGES += sorted((REPOSITORY / "docs").rglob("*.md"))
FENCE = re.compile(
    r"(?:<!-- not run: (?P<reason>[^>]+?) -->\n+)?(?:Write `(?P<file>[\w.]+)`:\n\n)?"
    r"^(?P<indent> *)```(?P<language>\w+)\n(?P<text>.*?)^(?P=indent)```$",
    re.M | re.S,
)


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        page: the file that it stands in.
        language: bash, python, yaml and so on.
        text: what is between the fences.
        reason: why it is not run, or None.
        file: where a reader is told to write it, or None.
    """

    page: Path
    language: str
    text: str
    reason: str | None
    file: str | None

    @property
    def commands(self) -> list[list[str]]:
        """The words of every command of a bash block."""
        lines = self.text.replace("\\\n", " ").splitlines()
        split = [command for line in lines for command in shlex.join(shlex.split(line, comments=True)).split(" '&&' ")]
        return [shlex.split(command) for command in split if command]

    def __str__(self) -> str:
        return f"{self.page.relative_to(REPOSITORY)}: {self.text.splitlines()[0][:60]}"


def blocks_of(page: Path) -> list[Block]:
    """All blocks of a page."""
    found = FENCE.finditer(page.read_text(encoding="utf-8"))
    return [Block(page, m["language"], textwrap.dedent(m["text"]), m["reason"], m["file"]) for m in found]


BLOCKS = [block for page in PAGES for block in blocks_of(page)]
