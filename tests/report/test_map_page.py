"""The map of galaxies in a browser: hands and keys, colours, pictures, regions and their file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from playwright.sync_api import Browser, Page, expect

from pipeline.catalogue.tags import read_tags
from pipeline.report.document import write_document
from pipeline.report.map_page import TILE, GalaxyMap, map_section
from pipeline.report.palette import SERIES
from pipeline.tree import DecisionTree
from tests.support.browser import Opened, accessibility, opened
from tests.support.catalogues import blob, encoded, saying

ACROSS = 40
AWKWARD = ["=1+1", "</script>", 'a, "b"', "Galaxie é 🌌", "'-x"]


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory, tree: DecisionTree) -> Path:
    """A lattice of galaxies: smooth ones left, featured ones right; one in eleven is pictured."""
    row, column = np.divmod(np.arange(ACROSS**2), ACROSS)
    places = (np.stack([column, row], 1) / (ACROSS - 1)).astype(np.float32)
    left = column < ACROSS // 2
    kinds = [saying(smooth_or_featured="smooth"), saying(smooth_or_featured="featured_or_disk")]
    answers = np.where(left[:, None], *kinds)
    ids = [*AWKWARD, *(f"g{number}" for number in range(len(AWKWARD), ACROSS**2))]
    ra = np.where(np.arange(ACROSS**2) == 0, np.nan, column / 10)
    columns = {name: answers[:, place].astype(np.float32) for place, name in enumerate(tree.columns)}
    galaxies = pa.table({"object_id": ids, "ra": ra, "dec": row / 10, **columns})
    picture = encoded(blob(TILE), "WEBP")
    pictures = dict.fromkeys(range(0, ACROSS**2, 11), picture)
    section = map_section(tree, GalaxyMap(galaxies, places, pictures))
    folder = tmp_path_factory.mktemp("map")
    return Path(write_document(str(folder), "Map of galaxies", "Lead.", [section]))


def ready(page: Page) -> Page:
    page.locator("#map-canvas[data-ready]").wait_for()
    return page


@pytest.fixture
def seen(browser: Browser, page_file: Path) -> Iterator[Opened]:
    with opened(
        browser,
        page_file,
        viewport={"width": 1400, "height": 900},
        color_scheme="light",
        reduced_motion="reduce",
    ) as found:
        ready(found.page).locator("#map-canvas").scroll_into_view_if_needed()
        yield found
        assert found.complaints() == []


def painted(page: Page) -> set[str]:
    """The colours of the canvas, those of at least some pixels."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    return set(
        page.evaluate("""() => {
          const canvas = document.querySelector("#map-canvas");
          const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          const counts = new Map();
          for (let i = 0; i < data.length; i += 4) if (data[i + 3]) {
            const color = "#" + [0, 1, 2].map((k) => data[i + k].toString(16).padStart(2, "0")).join("");
            counts.set(color, (counts.get(color) ?? 0) + 1);
          }
          return [...counts].filter(([, count]) => count > 20).map(([color]) => color);
        }""")
    )


def place(page: Page, across: float, down: float) -> tuple[float, float]:
    """Of the whole map, on the screen."""
    box = page.locator("#map-canvas").bounding_box()
    assert box is not None
    side = 0.94 * (min(box["width"], box["height"]) - 2)
    return (
        box["x"] + box["width"] / 2 + (across - 0.5) * side,
        box["y"] + box["height"] / 2 + (down - 0.5) * side,
    )


def test_points_have_the_colours_of_the_answer_that_is_chosen(seen: Opened) -> None:
    page = seen.page
    assert painted(page) == set(SERIES[:2])
    chips = page.locator("#map-legend .chip")
    assert chips.all_inner_texts()[:2] == ["Smooth\n800", "Features or disk\n800"]
    page.locator("#map-color").select_option(label="Smooth")
    assert len(painted(page)) == 2
    assert not painted(page) & set(SERIES)
    expect(page.locator("#map-legend")).to_contain_text("100%")
    page.locator("#map-color").select_option("q1")
    expect(page.locator("#map-legend .chip").last).to_have_text("most aren’t asked800")


def test_pictures_come_as_one_zooms_in_and_can_be_put_away(seen: Opened) -> None:
    page = seen.page
    white = "#ffffff"
    assert white not in painted(page)
    page.mouse.move(*place(page, 0.5, 0.5))
    for _ in range(6):
        page.mouse.wheel(0, -100)
    assert white in painted(page)
    page.get_by_role("button", name="Pictures").click()
    assert white not in painted(page)


def test_a_rectangle_is_listed_and_its_file_is_a_table_of_tags(seen: Opened, tmp_path: Path) -> None:
    page = seen.page
    page.keyboard.down("Shift")
    page.mouse.move(*place(page, -0.01, -0.01))
    page.mouse.down()
    page.mouse.move(*place(page, 4.5 / (ACROSS - 1), 1.5 / (ACROSS - 1)), steps=3)
    page.mouse.up()
    page.keyboard.up("Shift")
    expect(page.locator("#map-region-title")).to_have_text("10 galaxies")
    wanted = {*AWKWARD, *(f"g{number}" for number in range(ACROSS, ACROSS + 5))}
    assert set(page.locator("#map-rows button").all_inner_texts()) == wanted
    expect(page.locator("#map-rows tr").first).to_contain_text("Smooth 90%")
    page.locator("#map-tag").fill("my ring, =odd")
    with page.expect_download() as download:
        page.get_by_role("button", name="Download CSV").click()
    download.value.save_as(tmp_path / "tags.csv")
    tags = read_tags(str(tmp_path / "tags.csv"))
    assert {tag: set(ids) for tag, ids in tags.items()} == {"my ring, =odd": wanted}
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#map-region")).to_be_hidden()


def test_a_click_lists_what_is_around_and_a_drag_moves(seen: Opened) -> None:
    page = seen.page
    page.mouse.move(*place(page, 1, 1))
    expect(page.locator("#map-galaxy h4")).to_have_text(f"g{ACROSS**2 - 1}")
    page.mouse.down()
    page.mouse.up()
    expect(page.locator("#map-rows button").first).to_be_visible()
    assert f"g{ACROSS**2 - 1}" in page.locator("#map-rows button").all_inner_texts()
    page.mouse.move(*place(page, 0.5, 0.5))
    page.mouse.down()
    page.mouse.move(*place(page, 0.75, 0.5), steps=4)
    page.mouse.up()
    page.mouse.move(*place(page, 0.25, 1))
    expect(page.locator("#map-galaxy h4")).to_have_text(f"g{ACROSS**2 - ACROSS}")
    expect(page.locator("#map-galaxy a")).to_have_attribute("rel", "noopener noreferrer")


def test_all_of_it_by_keys(seen: Opened) -> None:
    page = seen.page
    page.locator("#map-canvas").focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator("#map-status")).to_contain_text("Features or disk")
    for _ in range(6):
        page.keyboard.press("+")
    page.keyboard.press("Enter")
    expect(page.locator("#map-region-title")).to_contain_text("in view")
    listed = page.locator("#map-rows button")
    assert 0 < listed.count() < 100
    listed.first.press("Enter")
    expect(page.locator("#map-galaxy h4")).to_have_text(listed.first.inner_text())
    page.locator("#map-canvas").focus()
    page.keyboard.press("Escape")
    expect(page.locator("#map-region")).to_be_hidden()
    page.keyboard.press("0")
    page.keyboard.press("Enter")
    expect(page.locator("#map-region-title")).to_have_text("1,600 galaxies: in view")
    expect(page.locator("#map-more")).to_have_text("The first 50; the file has all.")


def test_two_fingers_zoom(browser: Browser, page_file: Path) -> None:
    with opened(browser, page_file, viewport={"width": 390, "height": 844}, has_touch=True) as found:
        page = ready(found.page)
        page.locator("#map-canvas").scroll_into_view_if_needed()
        x, y = place(page, 0.5, 0.5)
        touch = page.context.new_cdp_session(page)

        def fingers(kind: str, apart: float) -> None:
            points = [{"x": x - apart, "y": y, "id": 0}, {"x": x + apart, "y": y, "id": 1}]
            touch.send(
                "Input.dispatchTouchEvent",
                {"type": kind, "touchPoints": points if kind != "touchEnd" else []},
            )

        fingers("touchStart", 20)
        for apart in (40, 60, 100):
            fingers("touchMove", apart)
        fingers("touchEnd", 100)
        page.get_by_role("button", name="List what is in view").tap()
        expect(page.locator("#map-region-title")).to_contain_text("in view")
        count = int(page.locator("#map-region-title").inner_text().split()[0].replace(",", ""))
        assert 20 < count < 400
        assert found.complaints() == []


@pytest.mark.parametrize("theme", [pytest.param("light", marks=pytest.mark.long), "dark"])
def test_both_themes_are_readable(browser: Browser, page_file: Path, theme: Any) -> None:
    with opened(browser, page_file, color_scheme=theme, reduced_motion="reduce") as found:
        page = ready(found.page)
        page.locator("#map-canvas").focus()
        page.keyboard.press("+")
        page.keyboard.press("Enter")
        assert accessibility(page) == ""


@pytest.mark.parametrize("width", [360, 1600])
def test_nothing_is_wider_than_the_window(browser: Browser, page_file: Path, width: int) -> None:
    with opened(browser, page_file, viewport={"width": width, "height": 800}) as found:
        page = ready(found.page)
        page.get_by_role("button", name="List what is in view").click()
        assert page.evaluate("document.documentElement.scrollWidth") == width
