"""Pages of catalogues that say how sure their answers are, in Chromium: whiskers, worth and warnings."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

from pipeline.evaluation.overview import read_catalogue
from pipeline.report import render_report
from pipeline.report.document import Section, write_document
from pipeline.report.judged import judged_gallery
from tests.support.browser import Opened, accessibility, opened
from tests.support.catalogues import FACTS, TREE, catalogue, cutouts, parse, random_probabilities
from tests.support.uncertain import uncertainty_of

N = 30
P = random_probabilities(N, seed=4)
IDS = [f"galaxy-{i:03d}" for i in range(N)]
STRANGE, SMALL, LARGE, UNKNOWN = 3, 5, 6, 7
OUT_OF_PLACE = np.where(np.arange(N) == STRANGE, 2.4, 0.5)
RATIOS = np.ones(N, np.float32)
RATIOS[[SMALL, LARGE]] = 0.31, 2.5
UNCERTAINTY = replace(uncertainty_of(TREE, P, 7.25, OUT_OF_PLACE), frame_ratio=RATIOS)
UNCERTAINTY.high[UNKNOWN, 4] = np.nan  # as another program may have left it


def run_page(uncertain: bool = True) -> str:
    table = catalogue(P, IDS, UNCERTAINTY if uncertain else None)
    counts, shown = read_catalogue(TREE, [table.schema.empty_table(), table], 400)
    return render_report(TREE, counts, shown, cutouts(IDS), FACTS, None, (0.4, 2.0) if uncertain else None)


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(run_page(), encoding="utf-8")
    return path


@pytest.fixture
def seen(browser: Browser, report: Path) -> Iterator[Opened]:
    with opened(browser, report, reduced_motion="reduce") as found:
        yield found
        assert found.complaints() == []


def open_card(page: Page, row: int) -> Any:
    page.evaluate(f"location.hash = 'galaxy={IDS[row]}'")
    card = page.get_by_role("dialog")
    expect(card.get_by_role("heading", level=2)).to_have_text(IDS[row])
    card.locator("details").evaluate("(rest) => { rest.open = true }")
    return card


@pytest.mark.parametrize("row", [0, STRANGE, 11])
def test_whiskers_are_bounds_among_those_who_are_asked(seen: Opened, row: int) -> None:
    card = open_card(seen.page, row)
    clipped = 0
    for question in TREE.questions:
        step = card.locator(".step").filter(has_text=question.text)
        where = TREE.slices[question.key]
        total = P[row, where].sum()
        for j in range(where.stop - where.start):
            bounds = (side[row, where.start + j] / total for side in (UNCERTAINTY.low, UNCERTAINTY.high))
            low, high = np.minimum(list(bounds), 1)
            clipped += high == 1
            track, line = step.locator(".track").nth(j), step.locator(".whisker").nth(j)
            outer, inner = track.bounding_box(), line.bounding_box()
            assert inner["x"] - outer["x"] == pytest.approx(low * outer["width"], abs=0.7)
            assert inner["width"] == pytest.approx(max((high - low) * outer["width"], 4), abs=1.2)
        expect(step.locator(".step-facts")).to_contain_text("worth 7.3 volunteers")
    assert clipped  # of a share of few, that might be larger, no more than all of them


def test_pictures_and_frames_unlike_those_trained_on_have_a_warning(seen: Opened) -> None:
    warnings = {
        STRANGE: "Unlike the pictures the network was trained on (2.4 times as far as is usual): take",
        SMALL: "Smaller in its frame than nearly all pictures the network was trained on (0.31 times their",
        LARGE: "Larger in its frame than nearly all pictures the network was trained on (2.5 times their",
    }
    for row, text in warnings.items():
        expect(open_card(seen.page, row).locator(".warning")).to_contain_text(text)
    expect(open_card(seen.page, 0).locator(".warning")).to_have_count(0)


def test_a_galaxy_with_a_value_missing_is_shown_without(seen: Opened) -> None:
    expect(open_card(seen.page, UNKNOWN).locator(".whisker")).to_have_count(0)


def test_pictures_unlike_those_trained_on_can_be_chosen(seen: Opened) -> None:
    page = seen.page
    box = page.get_by_role("checkbox", name="Unlike the training pictures (1)")
    box.check()
    assert page.locator(".tile:visible .tile-id").all_inner_texts() == [IDS[STRANGE]]
    page.get_by_role("button", name="Reset").click()
    expect(box).not_to_be_checked()
    assert page.locator(".tile:visible").count() == N


def test_the_page_says_how_many_there_are() -> None:
    assert "<dt>unlike the training pictures</dt><dd>3.3%</dd>" in run_page()


@pytest.mark.parametrize("theme", [pytest.param("light", marks=pytest.mark.long), "dark"])
def test_both_themes_are_readable_on_a_phone(browser: Browser, report: Path, theme: Any) -> None:
    size: Any = {"width": 390, "height": 844}
    with opened(browser, report, color_scheme=theme, reduced_motion="reduce", viewport=size) as found:
        card = open_card(found.page, STRANGE)
        assert accessibility(found.page) == ""
        assert found.page.locator("#card-body").evaluate("(body) => body.scrollWidth <= body.clientWidth")
        ink, ground = card.locator(".whisker").first.evaluate(
            "(line) => [getComputedStyle(line).borderLeftColor, getComputedStyle(line).boxShadow]"
        )
        assert ink not in ground  # the rim is what sets it off from a bar


def test_votes_are_beside_whiskers(browser: Browser, tmp_path: Path) -> None:
    votes = random_probabilities(N, seed=5)
    part = judged_gallery(TREE, IDS, P, votes, np.arange(4, 20), cutouts(IDS), UNCERTAINTY)
    path = Path(write_document(str(tmp_path), "Evaluation", "Lead.", [Section("Galaxies", "", [part])]))
    with opened(browser, path) as found:
        card = open_card(found.page, 11)
        rows = card.locator(".answers li")
        assert card.locator(".whisker").count() == rows.count() + 1  # the key
        expect(card.locator(".warning")).to_have_count(0)
        expect(open_card(found.page, SMALL).locator(".warning")).to_have_count(0)  # what is usual isn't known
        assert found.complaints() == []


def test_a_catalogue_that_does_not_say_it_has_the_page_as_before(browser: Browser, tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    path.write_text(run_page(uncertain=False), encoding="utf-8")
    assert not parse(run_page(uncertain=False)).by_id("unfamiliar")
    assert "unlike the training pictures" not in run_page(uncertain=False)
    with opened(browser, path) as found:
        card = open_card(found.page, STRANGE)
        assert card.locator(".whisker, .warning").count() == 0
        expect(card).not_to_contain_text("worth")
        assert found.complaints() == []
