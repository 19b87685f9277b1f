"""The run's report as its reader has it: clicked, typed at and looked at in Chromium, from its file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from pipeline.catalogue.classes import read_classes
from pipeline.evaluation.overview import read_catalogue
from pipeline.report import render_report
from tests.support.browser import Opened, accessibility, opened
from tests.support.catalogues import (
    FACTS,
    TREE,
    blob,
    catalogue,
    cutouts,
    encoded,
    random_probabilities,
    saying,
)

N = 60
SPIRAL = TREE.columns.index("has_spiral_arms_yes")
P = np.concatenate(
    [random_probabilities(N - 1), saying(smooth_or_featured="featured_or_disk", disk_edge_on="no")[None]]
)
TABLE = catalogue(P)
IDS = TABLE["object_id"].to_pylist()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    counts, shown = read_catalogue(TREE, [TABLE], 400)
    path = tmp_path_factory.mktemp("report") / "report.html"
    rng = np.random.default_rng(1)
    pictures = cutouts(IDS, x=rng.uniform(10, 390, N).tolist(), y=rng.uniform(10, 390, N).tolist())
    html = render_report(TREE, counts, shown, pictures, FACTS, encoded(blob(400), "JPEG"))
    path.write_text(html, encoding="utf-8")
    return path


@pytest.fixture
def seen(browser: Browser, report: Path) -> Iterator[Opened]:
    with opened(browser, report, reduced_motion="reduce") as found:
        yield found
        assert found.complaints() == []


def choice(page: Page, name: str) -> Locator:
    return page.get_by_role("combobox", name=name, exact=True)


def ids(page: Page) -> list[str]:
    """The visible tiles' ids, in order."""
    return page.locator(".tile:visible .tile-id").all_inner_texts()


def shares(question: str) -> tuple[np.ndarray, np.ndarray]:
    """How probable it is that the question is asked, and the most probable answer."""
    part = P[:, TREE.slices[question]]
    return part.sum(axis=1), part.argmax(axis=1)


def number_of(question: str) -> int:
    return [q.key for q in TREE.questions].index(question)


def test_a_click_opens_the_galaxys_answers(seen: Opened) -> None:
    page = seen.page
    tile = page.locator(".tile", has_text=IDS[7])
    tile.click()
    card = page.get_by_role("dialog")
    expect(card.get_by_role("heading", level=2)).to_have_text(IDS[7])
    expect(card.locator(".path .step").first).to_contain_text(TREE.questions[0].text)
    first = P[7, TREE.slices[TREE.questions[0].key]]
    expect(card.locator(".path .step").first.locator(".chosen .number")).to_have_text(
        f"{100 * first.max():.0f}%"
    )
    assert card.locator(".step").count() == len(TREE.questions)
    page.get_by_role("button", name="Close (Esc)").click()
    expect(card).to_be_hidden()


def test_a_ring_opens_the_same_card(seen: Opened) -> None:
    seen.page.locator(".ring", has=seen.page.locator("circle")).last.dispatch_event("click")
    expect(seen.page.get_by_role("dialog")).to_be_visible()


def test_classes_filter_the_gallery_and_the_field(seen: Opened) -> None:
    page = seen.page
    classes = read_classes(TREE, TABLE).classes
    chosen = int(np.bincount(classes).argmax())
    chips = page.get_by_role("group", name="Show classes in the gallery")
    chips.get_by_role("button", name=TREE.classes[chosen].name).click()
    wanted = {IDS[i] for i in np.flatnonzero(classes == chosen)}
    assert set(ids(page)) == wanted
    assert page.locator(".ring:not(.off)").count() == len(wanted)
    chips.get_by_role("button", name="All classes").click()
    assert len(ids(page)) == N


def test_questions_and_answers_filter(seen: Opened) -> None:
    page = seen.page
    question = TREE.questions[number_of("bar")]
    asked, best = shares("bar")
    assert choice(page, "Answer").is_disabled()
    choice(page, "Question").select_option(question.text)
    assert set(ids(page)) == {IDS[i] for i in np.flatnonzero(asked >= 0.5)}
    choice(page, "Answer").select_option(question.answers[1].text)
    wanted = {IDS[i] for i in np.flatnonzero((asked >= 0.5) & (best == 1))}
    assert wanted
    assert set(ids(page)) == wanted
    assert all(
        question.answers[1].text in text
        for text in page.locator(".tile:visible .tile-answer").all_inner_texts()
    )
    choice(page, "Question").select_option("any")
    assert len(ids(page)) == N


def test_confidence_sorts(seen: Opened) -> None:
    page = seen.page
    confidence = dict(zip(IDS, read_classes(TREE, TABLE).confidence, strict=True))
    choice(page, "Sort").select_option("most confident first")
    found = [confidence[i] for i in ids(page)]
    assert found == sorted(found, reverse=True)
    choice(page, "Sort").select_option("least confident first")
    assert [confidence[i] for i in ids(page)] == sorted(found)


def test_confidence_in_a_question_sorts(seen: Opened) -> None:
    page = seen.page
    question = TREE.questions[number_of("how_rounded")]
    agreement = dict(zip(IDS, TABLE["how_rounded_agreement"].to_pylist(), strict=True))
    choice(page, "Question").select_option(question.text)
    choice(page, "Sort").select_option("most agreement on the question first")
    found = [agreement[i] for i in ids(page)]
    assert len(found) > 3
    assert found == sorted(found, reverse=True)
    choice(page, "Question").select_option("any")
    expect(choice(page, "Sort")).to_have_value("class")


def test_ids_are_found_and_all_is_reset(seen: Opened) -> None:
    page = seen.page
    page.get_by_label("Find an id").fill("GALAXY-01")
    assert set(ids(page)) == {f"galaxy-{i:03d}" for i in range(10, 20)}
    page.get_by_label("Find an id").fill("no such")
    expect(page.locator("#empty")).to_be_visible()
    page.get_by_role("slider").fill("50")
    expect(page.get_by_role("slider")).to_have_accessible_name("Confidence at least")
    page.get_by_role("button", name="Reset").click()
    assert len(ids(page)) == N
    expect(page.locator("#matches")).to_have_text(f"{N} galaxies")


def test_the_address_opens_a_galaxy(browser: Browser, report: Path) -> None:
    with opened(browser, report) as found:
        found.page.goto(f"{report.as_uri()}#galaxy={IDS[3]}")
        expect(found.page.locator("#card-title")).to_have_text(IDS[3])
        assert found.complaints() == []


FOCUSED = """() => {
  const element = document.activeElement, style = getComputedStyle(element);
  const outline = style.outlineStyle === "none" ? 0 : parseFloat(style.outlineWidth);
  const halo = element.querySelector(".halo"), ring = element.classList.contains("ring");
  const thick = ring ? parseFloat(getComputedStyle(halo).strokeWidth) > 5 : outline >= 2;
  const tile = element.closest(".tile")?.dataset.i ?? null;
  return { id: element.id, tag: element.tagName, tile, ring, shown: thick };
}"""


def focused(page: Page) -> dict[str, Any]:
    """What has the focus, and whether it shows."""
    return page.evaluate(FOCUSED)


def test_the_keyboard_reaches_everything_and_shows_where_it_is(seen: Opened) -> None:
    page = seen.page
    stops = []
    for _ in range(80):
        page.keyboard.press("Tab")
        at = focused(page)
        if at["tag"] == "BODY":
            break
        assert at["shown"], at
        stops.append(at)
    named = {at["id"] for at in stops}
    assert {"theme", "labels", "question", "search", "sort", "least", "reset"} <= named
    assert sum(at["ring"] for at in stops) == sum(at["tile"] is not None for at in stops) == 1
    chips = page.locator(".chip").count()
    assert len(stops) >= chips + len(named)


def test_the_keyboard_opens_leafs_and_comes_back(seen: Opened) -> None:
    page = seen.page
    order = page.locator(".tile").evaluate_all("tiles => tiles.map((tile) => tile.dataset.i)")
    page.locator(".tile button").first.focus()
    for key, place in (("ArrowRight", 1), ("End", N - 1), ("ArrowLeft", N - 2), ("Home", 0)):
        page.keyboard.press(key)
        assert focused(page)["tile"] == order[place], key
    page.keyboard.press("ArrowDown")
    below = focused(page)["tile"]
    assert below != order[0]
    page.keyboard.press("ArrowUp")
    assert focused(page)["tile"] == order[0]
    page.keyboard.press("Enter")
    card = page.get_by_role("dialog")
    expect(card).to_be_visible()
    assert focused(page)["id"] == "card-body"
    page.keyboard.press("Escape")
    expect(card).to_be_hidden()
    assert focused(page)["tile"] == order[0]
    assert focused(page)["shown"]
    page.keyboard.press("Enter")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#place")).to_have_text(f"2 of {N}")
    page.keyboard.press("Escape")
    assert focused(page)["tile"] == order[1]
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    assert focused(page)["tile"] == order[1]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_both_themes_are_readable(browser: Browser, report: Path, theme: Any) -> None:
    with opened(browser, report, color_scheme=theme, reduced_motion="reduce") as found:
        page = found.page
        choice(page, "Question").select_option(TREE.questions[0].text)
        assert accessibility(page) == ""
        page.locator(".tile:visible").first.click()
        page.locator("#card details").evaluate("(rest) => { rest.open = true }")
        assert accessibility(page) == ""


def test_the_theme_is_chosen_and_kept(seen: Opened) -> None:
    page = seen.page
    button = page.locator("#theme")
    grounds = set()
    for name in ("light", "dark"):
        button.click()
        expect(button).to_have_accessible_name(f"Theme: {name}")
        grounds.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert len(grounds) == 2
    page.reload()
    expect(button).to_have_accessible_name("Theme: dark")


@pytest.mark.parametrize("width", [360, 900, 1600])
def test_nothing_is_wider_than_the_window(browser: Browser, report: Path, width: int) -> None:
    with opened(browser, report, viewport={"width": width, "height": 800}) as found:
        assert found.page.evaluate("document.documentElement.scrollWidth") == width
        found.page.locator(".tile").first.click()
        box = found.page.locator("#card").bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert found.page.locator("#card-body").evaluate("(body) => body.scrollWidth <= body.clientWidth")


@pytest.mark.parametrize("width", [390, 1400])
def test_a_long_id_is_in_one_line_and_its_end_is_seen(browser: Browser, report: Path, width: int) -> None:
    with opened(browser, report, viewport={"width": width, "height": 844}) as found:
        name = found.page.locator(".tile-id").first
        name.evaluate("(span) => { span.firstElementChild.textContent = '8647474692506190275' }")
        box = name.bounding_box()
        assert box is not None
        assert box["height"] < 20
        ends = name.evaluate(
            "(span) => [span, span.firstElementChild].map((one) => one.getBoundingClientRect().right)"
        )
        assert ends[1] <= ends[0] + 1


def test_a_phone_shows_four_galaxies_side_by_side(browser: Browser, report: Path) -> None:
    with opened(browser, report, viewport={"width": 390, "height": 844}) as found:
        columns = found.page.locator("#grid").evaluate("(grid) => getComputedStyle(grid).gridTemplateColumns")
        assert len(columns.split()) == 4


BAD = """<!doctype html><html lang="en"><title>Bad</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<main style="background:#fff;color:#bbb"><p>Faint.</p><img src="https://example.org/x.png" alt=""></main>
<script>document.title = "ran"</script>"""


def test_what_a_page_does_wrong_is_noticed(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "bad.html"
    path.write_text(BAD, encoding="utf-8")
    with opened(browser, path) as found:
        assert {text.split(":")[0] for text in found.page.evaluate("window.__violations")} == {
            "img-src",
            "script-src-elem",
        }
        assert found.errors
        assert "color contrast" in accessibility(found.page)
    path.write_text(BAD.replace("default-src", "img-src https:; default-src"), encoding="utf-8")
    with opened(browser, path) as found:
        assert found.asked_for == ["https://example.org/x.png"]
