"""The page of look-alikes in a browser: order, filters, cards, links, both themes, a phone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, expect

from pipeline.report.alike import alike_sections
from pipeline.report.document import write_document
from pipeline.report.galaxies import Alike
from tests.support.browser import Opened, accessibility, opened
from tests.support.catalogues import TREE, catalogue, cutouts, random_probabilities

N = 20
IDS = [f"galaxy-{i:03d}" for i in range(N)]
ALIKE = [
    Alike(None, tags=("ring",)),
    Alike(None, unwanted=True),
    *(Alike(0.99 - i / 50, False, ("Is it a <bar>? yes",), ("ring", "odd & <rare>")) for i in range(N - 2)),
]


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    ra: list[float | None] = [*np.linspace(0, 360, N - 1, endpoint=False), None]
    rows = catalogue(random_probabilities(N, seed=1), IDS, ra=ra)
    sections = alike_sections(TREE, rows, ALIKE, cutouts(IDS[:-1]))
    folder = tmp_path_factory.mktemp("alike")
    return Path(write_document(str(folder), "Look-alikes", "Lead.", sections))


@pytest.fixture
def seen(browser: Browser, page_file: Path) -> Iterator[Opened]:
    with opened(browser, page_file, reduced_motion="reduce") as found:
        yield found
        assert found.complaints() == []


def test_examples_come_first_and_then_the_most_alike(seen: Opened) -> None:
    page = seen.page
    assert page.locator(".tile:visible .tile-id").all_inner_texts() == IDS
    words = page.locator(".tile .tile-line:last-child > :last-child").all_inner_texts()
    assert words == ["example", "not like this", *(f"{how.similarity:.3f}" for how in ALIKE[2:])]
    sort = page.get_by_role("combobox", name="Sort", exact=True)
    sort.select_option("by id")
    sort.select_option("most alike first")
    assert page.locator(".tile:visible .tile-id").all_inner_texts() == IDS
    sort.select_option("by class")
    page.get_by_role("button", name="Reset").click()
    expect(sort).to_have_value("near")


def test_the_card_says_what_they_share_and_where_else_to_look(seen: Opened) -> None:
    page = seen.page
    page.locator(".tile", has_text=IDS[4]).click()
    card = page.get_by_role("dialog")
    expect(card).to_contain_text("0.950")
    expect(card).to_contain_text("Is it a <bar>? yes")
    expect(card).to_contain_text("ring, odd & <rare>")
    links = card.get_by_role("link").evaluate_all("links => links.map((link) => [link.href, link.rel])")
    assert [href.split("/")[2] for href, _ in links] == ["skyserver.sdss.org", "www.legacysurvey.org"]
    assert all(f"ra={360 * 4 / (N - 1)}" in href and "dec=2" in href for href, _ in links)
    assert {rel for _, rel in links} == {"noopener noreferrer"}
    page.get_by_role("button", name="Close (Esc)").click()
    page.locator(".tile", has_text=IDS[-1]).click()
    expect(card.get_by_role("heading", level=2)).to_have_text(IDS[-1])
    assert not card.get_by_role("link").count()  # it has no position


@pytest.mark.parametrize("theme", [pytest.param("light", marks=pytest.mark.long), "dark"])
def test_both_themes_are_readable(browser: Browser, page_file: Path, theme: Any) -> None:
    with opened(browser, page_file, color_scheme=theme, reduced_motion="reduce") as found:
        assert accessibility(found.page) == ""
        found.page.locator(".tile:visible").first.click()
        assert accessibility(found.page) == ""


@pytest.mark.parametrize("width", [360, 1600])
def test_nothing_is_wider_than_the_window(browser: Browser, page_file: Path, width: int) -> None:
    with opened(browser, page_file, viewport={"width": width, "height": 800}) as found:
        assert found.page.evaluate("document.documentElement.scrollWidth") == width
        found.page.locator(".tile").nth(3).click()
        box = found.page.locator("#card").bounding_box()
        assert box is not None
        assert box["x"] + box["width"] <= width
