"""The gallery of answers beside votes: which galaxies it shows, and its page in a browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from playwright.sync_api import Browser, Page, expect

from pipeline.catalogue.classes import read_classes
from pipeline.evaluation.metrics import galaxy_rmse
from pipeline.report.document import Section, write_document
from pipeline.report.judged import judged_gallery, spread_by_error
from tests.support.browser import Opened, accessibility, opened
from tests.support.catalogues import TREE, cutouts, random_probabilities

N = 40
IDS = [f"galaxy-{i:03d}" for i in range(N)]
PREDICTED = random_probabilities(N, seed=1)
VOTES = 0.5 * PREDICTED + 0.5 * random_probabilities(N, seed=2)
VOTES[5, 3:] = np.nan
VOTES[6] = np.nan
JUDGED = [i for i in range(N) if i != 6]
ERRORS = np.sqrt(np.nanmean((PREDICTED - VOTES)[JUDGED] ** 2, axis=1))


def classes(p: np.ndarray) -> np.ndarray:
    return read_classes(TREE, pa.table(dict(zip(TREE.columns, np.nan_to_num(p).T, strict=True)))).classes


def write(folder: Path, ids: list[str] = IDS) -> Path:
    shown = spread_by_error(PREDICTED, VOTES)
    part = judged_gallery(TREE, ids, PREDICTED, VOTES, shown, cutouts([ids[i] for i in shown]))
    return Path(write_document(str(folder), "Evaluation", "Lead.", [Section("Galaxies", "", [part])]))


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("judged"))


@pytest.fixture
def seen(browser: Browser, page_file: Path) -> Iterator[Opened]:
    with opened(browser, page_file, reduced_motion="reduce") as found:
        yield found
        assert found.complaints() == []


def ids(page: Page) -> list[str]:
    return page.locator(".tile:visible .tile-id").all_inner_texts()


def select(page: Page, name: str, value: str) -> None:
    page.get_by_role("combobox", name=name, exact=True).select_option(value)


def test_errors_are_over_the_votes_that_are_known() -> None:
    np.testing.assert_allclose(galaxy_rmse(PREDICTED, VOTES)[JUDGED], ERRORS)
    assert np.isnan(galaxy_rmse(PREDICTED, VOTES)[6])


def test_a_few_are_spread_from_the_easiest_to_the_hardest() -> None:
    assert spread_by_error(PREDICTED, VOTES).tolist() == JUDGED
    few = spread_by_error(PREDICTED, VOTES, 5)
    errors = galaxy_rmse(PREDICTED, VOTES)
    ranks = np.searchsorted(np.sort(ERRORS), np.sort(errors[few]))
    assert ranks.tolist() == [0, 10, 19, 28, 38]
    assert spread_by_error(np.zeros((0, 37)), np.zeros((0, 37))).tolist() == []
    assert spread_by_error(PREDICTED[6:7], VOTES[6:7]).tolist() == []


def test_the_disagreeing_are_found(seen: Opened) -> None:
    page = seen.page
    box = page.get_by_role("checkbox", name="Network and volunteers disagree")
    box.check()
    ours, theirs = classes(PREDICTED), classes(VOTES)
    wanted = {IDS[i] for i in JUDGED if ours[i] != theirs[i]}
    assert 0 < len(wanted) < len(JUDGED)
    assert set(ids(page)) == wanted
    question = TREE.questions[0]
    where = TREE.slices[question.key]
    select(page, "Question", question.text)
    differ = PREDICTED[:, where].argmax(axis=1) != np.nan_to_num(VOTES[:, where]).argmax(axis=1)
    assert set(ids(page)) == {IDS[i] for i in JUDGED if differ[i]}
    page.get_by_role("button", name="Reset").click()
    expect(box).not_to_be_checked()
    assert set(ids(page)) == {IDS[i] for i in JUDGED}


def test_classes_answers_and_errors_choose_and_sort(seen: Opened) -> None:
    page = seen.page
    errors = dict(zip([IDS[i] for i in JUDGED], ERRORS, strict=True))
    for name, sign in (("largest RMSE first", -1), ("smallest RMSE first", 1)):
        select(page, "Sort", name)
        found = [sign * errors[i] for i in ids(page)]
        assert found == sorted(found)
    question = TREE.questions[0]
    answers = PREDICTED[:, TREE.slices[question.key]].argmax(axis=1)
    select(page, "Question", question.text)
    select(page, "Answer", question.answers[1].text)
    wanted = {IDS[i] for i in JUDGED if answers[i] == 1}
    assert set(ids(page)) == wanted
    chosen = classes(PREDICTED)[next(i for i in JUDGED if answers[i] == 1)]
    page.locator(f".chip[data-class='{chosen}']").click()
    assert set(ids(page)) == {IDS[i] for i in JUDGED if answers[i] == 1 and classes(PREDICTED)[i] == chosen}


def test_the_card_has_both_distributions(seen: Opened) -> None:
    page = seen.page
    page.locator(".tile", has_text=IDS[8]).locator("button").focus()
    page.keyboard.press("Enter")
    card = page.get_by_role("dialog")
    expect(card).to_contain_text(f"{ERRORS[JUDGED.index(8)]:.3f}")
    expect(card).to_contain_text(TREE.classes[classes(VOTES)[8]].name)
    step = card.locator(".step").filter(has_text=TREE.questions[0].text)
    colors: dict[str, set[str]] = {"network": set(), "votes": set()}
    for j in range(3):
        for kind, p in (("network", PREDICTED), ("votes", VOTES)):
            bar = step.locator(f".answers li:nth-child({j + 1}) i.{kind}")
            width, color = bar.evaluate("(bar) => [bar.style.width, getComputedStyle(bar).backgroundColor]")
            assert float(width.removesuffix("%")) == pytest.approx(100 * p[8, j], abs=0.06)
            colors[kind].add(color)
    assert not colors["network"] & colors["votes"]
    page.keyboard.press("Escape")
    expect(card).to_be_hidden()
    assert page.evaluate("document.activeElement.closest('.tile')?.dataset.i") is not None


@pytest.mark.parametrize("theme", [pytest.param("light", marks=pytest.mark.long), "dark"])
def test_both_themes_are_readable(browser: Browser, page_file: Path, theme: Any) -> None:
    with opened(browser, page_file, color_scheme=theme, reduced_motion="reduce") as found:
        assert accessibility(found.page) == ""
        found.page.locator(".tile:visible").first.click()
        found.page.locator("#card details").evaluate("(rest) => { rest.open = true }")
        assert accessibility(found.page) == ""
        found.page.set_viewport_size({"width": 360, "height": 800})
        assert found.page.evaluate("document.documentElement.scrollWidth") == 360
        assert found.page.locator("#card-body").evaluate("(body) => body.scrollWidth <= body.clientWidth")


def test_hostile_ids_are_text(browser: Browser, tmp_path: Path) -> None:
    hostile = ["</script><script>document.title = 'x'</script>", "<img src=//evil.example/x>", '" onclick="x']
    with opened(browser, write(tmp_path, [*hostile, *IDS[len(hostile) :]])) as found:
        assert set(hostile) <= set(ids(found.page))
        assert found.page.title() == "Evaluation"
        assert found.complaints() == []
