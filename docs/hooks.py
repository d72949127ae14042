"""What mkdocs does beside converting docs/*.md: pages that are generated, and links to files of the repository."""

import posixpath
import re
from pathlib import Path

from api_pages import api_pages
from commands import command_page
from config_keys import config_page
from mkdocs.structure.files import File

REPOSITORY = Path(__file__).resolve().parents[1]

# Files outside docs/ that are pages, too.
ADOPTED = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "datasets/README.md": "datasets.md",
}
ADOPTED |= {f"benchmarks/{path.name}": f"benchmarks/{path.name}" for path in sorted(REPOSITORY.glob("benchmarks/*.md"))}
LINK = re.compile(r"\[([^\]]*)\]\((?!https?:|mailto:|#)([^)#\s]+)(#[^)\s]*)?\)")


def on_config(config):
    """Put the benchmarks' reports and the Python API into the navigation."""
    results = next(entry["Results"] for entry in config.nav if "Results" in entry)
    results += [{title_of(path): page} for path, page in ADOPTED.items() if page.startswith("benchmarks/")]
    reference = next(entry["Reference"] for entry in config.nav if "Reference" in entry)
    reference.append({"Python": [{title: page} for title, page, _ in api_pages(REPOSITORY)]})
    return config


def on_files(files, config):
    """Add the pages that are generated."""
    for path, page in ADOPTED.items():
        files.append(File.generated(config, page, content=(REPOSITORY / path).read_text(encoding="utf-8")))
    files.append(File.generated(config, "reference/config_keys.md", content=config_page(REPOSITORY / "mic_det/config")))
    files.append(File.generated(config, "reference/command_line.md", content=command_page()))
    for _, page, content in api_pages(REPOSITORY):
        files.append(File.generated(config, page, content=content))
    return files


def on_page_markdown(markdown, page, config, files):
    """Links that are right in the repository become right on the site."""
    sources = {adopted: path for path, adopted in ADOPTED.items()}
    source = sources.get(page.file.src_uri, f"docs/{page.file.src_uri}")

    def moved(match):
        text, address, anchor = match.groups(default="")
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), address))
        if not (REPOSITORY / target).exists():
            return match[0]  # a generated page, or a wrong link, which mkdocs reports
        if target in ADOPTED or target.startswith("docs/"):
            place = ADOPTED.get(target, target.removeprefix("docs/"))
            return f"[{text}]({posixpath.relpath(place, posixpath.dirname(page.file.src_uri) or '.')}{anchor})"
        return f"[{text}]({config.extra['code_url']}/{target})"  # the site does not hold the code

    return LINK.sub(moved, markdown)


def title_of(path):
    """The heading of one of the repository's Markdown files."""
    return (REPOSITORY / path).read_text(encoding="utf-8").splitlines()[0].lstrip("# ")
