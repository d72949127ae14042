"""What the documentation's tables and links name exists."""

import re

import pytest

from mic_det import library
from tests.conftest import REPOSITORY
from tests.docs.blocks import PAGES

GUIDES = REPOSITORY / "docs/guides"
# Pages that mkdocs makes; tests/docs/test_site.py builds them.
LINK = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_file_that_a_page_links_to_exists(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.S)
    for target in LINK.findall(text):
        assert (page.parent / target).exists(), target


def test_the_readme_is_read_in_three_minutes():
    assert len((REPOSITORY / "README.md").read_text().splitlines()) <= 180


def rows(page, header):
    """Rows of the table that begins with `header`, as lists of cells."""
    text = (REPOSITORY / "docs" / page).read_text(encoding="utf-8")
    lines = text[text.index(header) :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def names(cell, pattern=r"[\w*]+"):
    return re.findall(pattern, " ".join(re.findall(r"`([^`]+)`", cell)))


@pytest.mark.parametrize("row", rows("guides/benchmark.md", "| transfer | config"), ids=lambda row: row[1])
def test_the_variants_of_a_detection_transfer_exist(row):
    for stem in names(row[1]):
        assert {stem, *(stem + variant for variant in names(row[2]))} <= set(library.names())


@pytest.mark.parametrize(
    "row",
    [*rows("guides/segmentation.md", "| transfer | `configs/`"), *rows("guides/classification.md", "| transfer | `configs/`")],
    ids=lambda row: row[1],
)
def test_the_methods_of_a_transfer_exist(row):
    (stem,) = names(row[1])[:1]
    for method in names(row[2].split(" but ")[0].split(", each also")[0]):
        assert stem.replace("*", method) in library.names()


@pytest.mark.parametrize("page", ["methods.md", "../README.md"])
def test_the_endings_of_methods_are_those_of_configs(page):
    endings = {
        name for row in rows(page, "| method | task |") for cell in row[2:3] for name in names(cell) if name.startswith("_")
    }
    assert len(endings) > 15
    for ending in endings:
        assert any(name.endswith(ending) for name in library.names()), ending


def test_the_students_of_the_table_have_a_config():
    for row in rows("guides/detectors.md", "| student | config"):
        assert set(names(row[1])) <= set(library.names())


def test_where_is_x_names_every_package():
    text = (REPOSITORY / "docs/where_in_the_code.md").read_text(encoding="utf-8")
    packages = {path.parent.name for path in (REPOSITORY / "mic_det").glob("*/__init__.py")}
    assert {name for name in packages if f"mic_det/{name}/" not in text} == set()
