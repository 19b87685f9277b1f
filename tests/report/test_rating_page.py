"""The page for rating galaxies in a browser: by keys and buttons, from its file and from a server."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from pipeline.report.rating_page import Card, rating_page
from pipeline.run.rating_server import Actions, serve
from tests.support.browser import Opened, accessibility, opened
from tests.support.catalogues import blob, encoded

CARDS = [Card(f"g</script>{row}", encoded(blob(), "WEBP")) for row in range(4)]


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("rating") / "rate.html"
    path.write_text(rating_page("What is worth a look", CARDS, 7, served=False), encoding="utf-8")
    return path


@pytest.fixture
def seen(browser: Browser, page_file: Path) -> Iterator[Opened]:
    with opened(browser, page_file, reduced_motion="reduce") as found:
        yield found
        assert found.complaints() == []


def test_keys_rate_and_the_ratings_are_a_file(seen: Opened, tmp_path: Path) -> None:
    page = seen.page
    expect(page.locator("#place")).to_have_text("1 of 4; 7 rated")
    page.keyboard.press("5")
    expect(page.locator("#place")).to_have_text("2 of 4; 8 rated")
    page.keyboard.press("0")
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".scale button[aria-pressed=true]")).to_have_text("0 not at all")
    page.keyboard.press("3")
    page.get_by_role("button", name="Skip").click()
    page.get_by_role("button", name="1 hardly").click()
    expect(page.locator("#place")).to_have_text("That was the last one.")
    expect(page.locator("#done li")).to_have_count(3)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download ratings").click()
    download.value.save_as(tmp_path / "ratings.jsonl")
    lines = (tmp_path / "ratings.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [
        {"object_id": CARDS[row].object_id, "rating": rating} for row, rating in ((0, 5), (1, 3), (3, 1))
    ]


def test_ratings_outlive_the_page(seen: Opened) -> None:
    page = seen.page
    page.keyboard.press("4")
    expect(page.locator("#done li")).to_have_count(1)
    page.reload()
    expect(page.locator("#place")).to_have_text("2 of 4; 8 rated")
    expect(page.locator("#done li")).to_have_count(1)


@pytest.mark.parametrize("theme", [pytest.param("light", marks=pytest.mark.long), "dark"])
def test_both_themes_are_readable(browser: Browser, page_file: Path, theme: Any) -> None:
    with opened(browser, page_file, color_scheme=theme, reduced_motion="reduce") as found:
        found.page.keyboard.press("2")
        found.page.keyboard.press("ArrowLeft")
        assert accessibility(found.page) == ""


@pytest.mark.parametrize("width", [360, 900])
def test_nothing_is_wider_than_the_window(browser: Browser, page_file: Path, width: int) -> None:
    with opened(browser, page_file, viewport={"width": width, "height": 800}) as found:
        assert found.page.evaluate("document.documentElement.scrollWidth") == width


def test_a_server_gets_each_rating_and_gives_more(browser: Browser) -> None:
    rated: list[tuple[str, int]] = []
    links: list[str] = []
    there = threading.Event()
    more = [[CARDS[2].as_json(), CARDS[3].as_json()], []]
    actions = Actions(
        lambda: rating_page("What is worth a look", CARDS[:2], 0, served=True),
        lambda name, rating: rated.append((name, rating)),
        lambda: more.pop(0),
    )
    server = threading.Thread(
        target=serve, args=(actions, 0, lambda link: (links.append(link), there.set())), daemon=True
    )
    server.start()
    assert there.wait(10)
    page = browser.new_page()
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text))
    page.goto(links[0])
    for key in "512":
        expect(page.locator("#picture")).to_be_visible()
        page.keyboard.press(key)
        expect(page.locator("#done li")).to_have_count("512".index(key) + 1)
    expect(page.locator("#place")).to_have_text("4 of 4; 3 rated")
    page.keyboard.press("0")
    expect(page.locator("#status")).to_have_text("There are no more to choose from: finish.")
    page.get_by_role("button", name="Finish and rank the catalogue").click()
    server.join(10)
    assert not server.is_alive()
    assert rated == [(card.object_id, int(key)) for card, key in zip(CARDS, "5120", strict=True)]
    assert problems == []
    page.close()
