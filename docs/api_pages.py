"""A page for every public package of mic_det, whose text mkdocstrings takes from the docstrings."""

import ast
from pathlib import Path

# What a user calls first; the rest follows in the order of the alphabet. The command line has a page of its own.
FIRST, LEFT_OUT = ("api",), ("cli",)


def api_pages(repository: Path) -> list[tuple[str, str, str]]:
    """(title, page, Markdown) of the package itself and of each of its subpackages."""
    package = repository / "mic_det"
    folders = sorted(path for path in package.iterdir() if (path / "__init__.py").exists() and path.name not in LEFT_OUT)
    folders.sort(key=lambda folder: folder.name not in FIRST)
    pages = [(f"mic_det.{folder.name}", f"api/{folder.name}.md", page_of(folder, repository)) for folder in folders]
    own = [path for path in sorted(package.glob("*.py")) if not path.name.startswith("_")]
    modules = ("mic_det", "Modules that every package may use.", own)
    return [*pages, ("mic_det", "api/modules.md", markdown(*modules, repository))]


def page_of(folder: Path, repository: Path) -> str:
    """Markdown of a package: what its docstring says, then its modules."""
    modules = [path for path in sorted(folder.rglob("*.py")) if not path.name.startswith("_")]
    about = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))) or ""
    return markdown(f"mic_det.{folder.name}", about, modules, repository)


def markdown(title: str, about: str, modules: list[Path], repository: Path) -> str:
    """A page that asks mkdocstrings for every one of `modules`."""
    names = [".".join(path.relative_to(repository).with_suffix("").parts) for path in modules]
    return f"# {title}\n\n{about}\n\n" + "\n".join(f"::: {name}\n    options:\n      heading_level: 2\n" for name in names)
