"""Evaluate on a small catalogue, as its user runs it and reads its page."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser

from jobs.cli import main
from pipeline.config import CONFIGS
from pipeline.evaluation import rmse
from pipeline.tree import DecisionTree, load_tree
from tests.support.browser import accessibility, opened
from tests.support.catalogues import random_probabilities
from tests.support.uncertain import uncertainty_of
from tests.support.voted import write_voted

COUNT = 120
ONE_QUESTION = Path(CONFIGS, "trees", "galaxy_zoo_1.yaml")


@pytest.fixture(scope="module")
def answers() -> tuple[np.ndarray, np.ndarray]:
    """Predictions, and votes that resemble them; a galaxy has none."""
    predicted, others = (random_probabilities(COUNT, seed=seed) for seed in (1, 2))
    votes = 0.7 * predicted + 0.3 * others
    votes[3] = np.nan
    return predicted.astype(np.float64), votes.astype(np.float64)


@pytest.fixture(scope="module")
def survey(
    tmp_path_factory: pytest.TempPathFactory, tree: DecisionTree, answers: tuple[np.ndarray, np.ndarray]
) -> Path:
    folder = tmp_path_factory.mktemp("evaluate")
    write_voted(folder, tree, *answers)
    run(folder, f"others.single_view={folder}/catalogue", "name=transforms", "shown=60")
    return folder


@pytest.fixture(scope="module")
def sure(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalogue that says how sure it is; of one question, for figures have a panel for each."""
    folder = tmp_path_factory.mktemp("sure")
    one = load_tree(ONE_QUESTION)
    predicted, others = np.random.default_rng(1).dirichlet(np.full(one.answer_count, 0.5), (2, COUNT))
    votes = 0.7 * predicted + 0.3 * others
    votes[3] = np.nan
    strange = np.where(np.arange(COUNT) < 30, 2.4, 0.5)
    write_voted(folder, one, predicted, votes, uncertainty_of(one, predicted, 6.0, strange))
    return folder


def run(folder: Path, *words: str, labels: str = "votes.csv") -> int:
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", f"{folder}/catalogue", f"labels={folder}/{labels}", f"output={folder}/out", *words])
    return int(ended.value.code or 0)


def table(survey: Path, name: str) -> list[dict[str, str]]:
    with (survey / "out" / "tables" / f"{name}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_its_tables_hold_what_the_votes_say(
    survey: Path, tree: DecisionTree, answers: tuple[np.ndarray, np.ndarray]
) -> None:
    predicted, votes = answers
    rows = {row["catalogue"].partition(" (")[0]: row for row in table(survey, "comparison")}
    expected = rmse(predicted.astype(np.float32), votes)
    for name in ("transforms", "single view"):
        assert float(rows[name]["RMSE"]) == pytest.approx(expected, abs=1e-6)
        assert float(rows[name]["low"]) < expected < float(rows[name]["high"])
    assert rows["ensemble"]["RMSE"] == ""
    assert float(rows["ensemble"]["paper, private"]) == pytest.approx(0.07492)
    assert [row["question"] for row in table(survey, "scores_questions")] == [q.key for q in tree.questions]
    assert len(table(survey, "answers")) == tree.answer_count
    assert sum(row["RMSE"] != "" for row in table(survey, "galaxies")) == COUNT - 1


def test_how_sure_answers_are_is_judged_where_the_catalogue_says_it(
    survey: Path, sure: Path, capsys: pytest.CaptureFixture[str], browser: Browser
) -> None:
    assert not (survey / "out" / "tables" / "uncertainty.csv").exists()
    assert run(sure, "pictures=2", "shown=12", f"tree={ONE_QUESTION}") == 0
    (first,) = table(sure, "uncertainty")
    assert int(first["n"]) == COUNT - 1  # one has no votes
    assert 0 < float(first["low"]) < float(first["within"]) < float(first["high"]) <= 1
    assert float(first["CRPS"]) < float(first["CRPS of the votes"])
    assert float(first["volunteers"]) == pytest.approx(6.0, rel=1e-5)
    assert f"{100 * float(first['within']):.1f} %" in capsys.readouterr().out
    heights = [float(row["density"]) for row in table(sure, "pit") if row["question"] == first["question"]]
    assert sum(heights) == pytest.approx(10)
    assert [int(row["galaxies"]) for row in table(sure, "out_of_place")] == [COUNT - 1 - 29, 29]
    with opened(browser, sure / "out" / "report.html") as found:
        assert found.page.get_by_role("img", name="Probability integral transform").is_visible()
        assert accessibility(found.page) == ""
        assert found.complaints() == []


def test_its_page_works_in_a_browser(survey: Path, browser: Browser) -> None:
    with opened(browser, survey / "out" / "report.html") as found:
        page = found.page
        assert page.locator("figure svg").count() >= 4
        assert page.locator(".tile").count() == 60
        page.locator(".tile:visible").first.click()
        assert page.get_by_role("dialog").is_visible()
        page.keyboard.press("Escape")
        page.evaluate("window.scrollTo(0, 0)")  # no control is half under the bar
        assert accessibility(page) == ""
        assert found.complaints() == []


def test_on_a_phone_figures_are_readable_and_what_goes_on_is_hinted_at(
    survey: Path, browser: Browser
) -> None:
    size: Any = {"width": 390, "height": 844}
    with opened(browser, survey / "out" / "report.html", viewport=size) as found:
        page = found.page
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        panels = page.locator("figure.plot svg").evaluate_all(
            "all => all.map((svg) => svg.getBoundingClientRect().width)"
        )
        assert min(panels) >= 700
        wider = page.locator(".scroll, .links").evaluate_all(
            "all => all.filter((one) => one.scrollWidth > one.clientWidth)"
            ".map((one) => getComputedStyle(one).backgroundImage.split('linear-gradient').length - 1)"
        )
        assert len(wider) > 5
        assert set(wider) == {4}
        assert accessibility(page) == ""


def test_what_the_user_has_made_stands_first(survey: Path) -> None:
    rows = [row["catalogue"].partition(" (")[0] for row in table(survey, "comparison")]
    assert rows[:2] == ["transforms", "single view"]
    assert rows[-1] == "ensemble"


def test_a_machine_can_read_what_it_says(
    sure: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNINGFORK_LOG", "json")
    assert run(sure, "shown=0", "pictures=0", f"tree={ONE_QUESTION}") == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert events[-1]["event"] == "evaluated"
    expected = next(row for row in table(sure, "comparison") if "this catalogue" in row["catalogue"])
    assert float(events[-1]["RMSE"]) == pytest.approx(float(expected["RMSE"]), abs=1e-4)


def test_labels_of_other_galaxies_end_it_in_a_line(survey: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = (survey / "votes.csv").read_text().replace("g/", "h/")
    (survey / "others.csv").write_text(text)
    assert run(survey, labels="others.csv") == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "has votes for none of the 120 galaxies" in error
    assert "h/000" in error
    assert "g/000" in error
