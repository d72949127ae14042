"""Reports and galleries as a reader sees them: facts of the rendered page, in a real browser."""

import io
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

KINDS = ("report", "gallery")
WIDTHS = (1280, 375)
SCHEMES = ("light", "dark")

# [text, colour of the text, colour behind it] of every element with text of its own.
COLOURS = """() => [...document.querySelectorAll('body *')].filter(
    part => [...part.childNodes].some(node => node.nodeType == 3 && node.data.trim()) && part.getClientRects().length
  ).map(part => {
    let ground = part;
    while (ground && getComputedStyle(ground).backgroundColor == 'rgba(0, 0, 0, 0)') ground = ground.parentElement;
    return [part.innerText, getComputedStyle(part).color, getComputedStyle(ground).backgroundColor];
  })"""
# What sticks out of the window, but for what lies in a container that scrolls.
OUTSIDE = """() => [...document.querySelectorAll('body *')].filter(part => {
    const place = part.getBoundingClientRect();
    return place.width && !part.parentElement.closest('.scroll') && (place.right > innerWidth + 1 || place.left < -1);
  }).map(part => part.outerHTML.slice(0, 120))"""


def rgb(text):
    return [int(float(part)) for part in text[text.index("(") + 1 : -1].split(",")[:3]]


def luminance(colour):
    """Of WCAG 2.2, from its definition."""
    parts = np.array(colour) / 255
    return np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]


def contrast(one, other):
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("kind", KINDS)
def test_everything_fits_the_window(visit, pages, kind, width):
    page = visit(getattr(pages, kind), width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.evaluate(OUTSIDE) == []


def test_a_wide_table_scrolls_by_itself(visit, pages):
    page = visit(pages.report, 375)
    box = page.get_by_role("region", name="A wide table, table 1")
    assert box.evaluate("box => box.scrollWidth") > 2 * box.bounding_box()["width"]
    box.evaluate("box => { box.scrollLeft = 1e6 }")
    last = page.get_by_role("columnheader", name="threshold 19").bounding_box()
    assert last["x"] + last["width"] <= 375


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("kind", KINDS)
def test_text_can_be_read_in_light_and_dark(visit, pages, kind, scheme):
    page = visit(getattr(pages, kind), scheme=scheme)
    ground = luminance(rgb(page.evaluate("getComputedStyle(document.body).backgroundColor")))
    assert ground < 0.02 if scheme == "dark" else ground > 0.9
    found = page.evaluate(COLOURS)
    assert len(found) > 10
    assert [(text, ink, behind) for text, ink, behind in found if contrast(rgb(ink), rgb(behind)) < 4.5] == []


@pytest.mark.parametrize("scheme", SCHEMES)
def test_all_pictures_load_and_figures_suit_the_page(visit, pages, scheme):
    page = visit(pages.report, scheme=scheme)
    sizes = page.evaluate("[...document.images].map(image => [image.alt, image.complete && image.naturalWidth])")
    assert len(sizes) >= 6 + 4 and all(alt and width > 0 for alt, width in sizes)
    plot = page.locator(".plots img").last
    pixels = np.asarray(Image.open(io.BytesIO(plot.screenshot())).convert("RGB"), dtype=float).reshape(-1, 3)
    ground = np.median(pixels, axis=0)
    # Labels of axes have far more contrast to the page than the grid.
    assert max(contrast(colour, ground) for colour in np.unique(pixels, axis=0)) > 7
    assert (luminance(ground) < 0.02) == (scheme == "dark")


@pytest.mark.parametrize("width", WIDTHS)
def test_a_picture_opens_large_and_closes(visit, pages, width):
    page = visit(pages.report, width)
    button = page.locator("figure button").first
    button.scroll_into_view_if_needed()
    before, top = button.bounding_box(), page.evaluate("scrollY")
    height = page.evaluate("document.documentElement.scrollHeight")
    button.click()
    after = page.locator(":popover-open img").bounding_box()
    assert after["width"] > (2 if width == 1280 else 1) * before["width"]
    assert after["x"] >= 0 and after["x"] + after["width"] <= width and after["y"] + after["height"] <= 900
    assert page.locator(":popover-open figcaption").is_visible()
    page.keyboard.press("Escape")
    assert page.locator(":popover-open").count() == 0
    assert button.bounding_box() == before and page.evaluate("scrollY") == top
    assert page.evaluate("document.documentElement.scrollHeight") == height
    button.focus()
    page.keyboard.press("Enter")
    assert page.locator(":popover-open").count() == 1


@pytest.mark.parametrize("kind", KINDS)
def test_the_page_has_an_outline(visit, pages, kind):
    page = visit(getattr(pages, kind))
    levels = page.evaluate("[...document.querySelectorAll('h1, h2, h3, h4')].map(part => Number(part.tagName[1]))")
    assert levels[0] == 1 and levels.count(1) == 1 and all(after - before <= 1 for before, after in pairwise(levels))
    assert page.evaluate("document.documentElement.lang") == "en"
    assert page.locator("main").count() == 1 and page.locator("script").count() == 0


def test_the_headline_and_the_table_say_what_is_gained(visit, pages):
    page = visit(pages.report)
    assert page.locator(".headline .figure").inner_text() == "+15.6 AP50"
    cells = page.locator(".results tbody tr").last.locator("td").all_inner_texts()
    assert [cell.split() for cell in cells[2:5]] == [["39.9", "+7.8"], ["79.7", "+15.6"], ["26.6", "+5.2"]]
    assert "+15.6" not in page.locator(".results tbody tr").first.inner_text()


def test_legends_keep_classes_and_verdicts_apart(visit, pages):
    page = visit(pages.report)
    assert page.get_by_role("list", name="Colours of the classes").get_by_role("listitem").count() == 8
    lines = page.get_by_role("list", name="Lines")
    styles = lines.evaluate("list => [...list.querySelectorAll('.line')].map(line => getComputedStyle(line).borderTopStyle)")
    assert styles == ["solid", "dotted"]


def test_report_and_gallery_lead_to_each_other(visit, pages):
    page = visit(pages.report)
    page.get_by_role("navigation", name="Other pages").get_by_role("link", name="Pseudo-labels").click()
    page.wait_for_url("**/gallery.html")
    page.get_by_role("link", name="mic").click()
    page.wait_for_url("**/report.html")
    page.get_by_role("link", name="Training").click()
    assert page.get_by_role("heading", name="Training").bounding_box()["y"] < 900


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_screenshot_is_not_blank(visit, pages, scheme):
    page = visit(pages.report, scheme=scheme)
    pixels = np.asarray(Image.open(io.BytesIO(page.screenshot(full_page=True))).convert("L"))
    assert pixels.shape[1] == 1280 and pixels.std() > 10
    text = pixels[: pixels.shape[0] // 4]
    assert (np.abs(text.astype(int) - np.median(text)) > 60).mean() > 0.005
