"""The page of people and machine as it is seen: its plots whole and legible on a phone."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser

from pipeline.report.document import write_document
from pipeline.report.rounds import round_sections
from pipeline.tree import DecisionTree
from pipeline.volunteers.rounds import Round
from tests.support.browser import opened

SEEN = """
figures => figures.map(figure => {
  const [plot] = [...figure.querySelectorAll("svg")].filter(svg => svg.checkVisibility());
  const right = plot.closest("div").getBoundingClientRect().right;
  const texts = [...plot.querySelectorAll("text")].map(text => text.getBoundingClientRect());
  return {
    beyond: texts.filter(box => box.right > right + 1 || box.left < 0).length,
    smallest: Math.min(...texts.map(box => Math.min(box.width, box.height))),
    texts: texts.length,
  };
})
"""


def rounds_of(tree: DecisionTree) -> list[Round]:
    return [
        Round(
            number=number,
            written=f"2026-11-0{number}T10:00:00Z",
            votes=number,
            catalogue=1,
            weights="ab" * 32,
            galaxies=4_000_000,
            classifications=1_200_000 * number,
            done=800_000 * number,
            for_people=4_000_000 - 800_000 * number,
            for_experts=300 * number,
            labels=500 * number,
            answers={
                question.key: {
                    "not_asked": 0,
                    "network": 900_000,
                    "people": 100_000 * number,
                    "both": 50_000 * number,
                    "open": 1_000_000 - 150_000 * number,
                }
                for question in tree.questions
            },
        )
        for number in (1, 2, 3)
    ]


@pytest.mark.parametrize("width", [390, 1400])
def test_plots_are_whole_and_legible(
    width: int, tmp_path: Path, tree: DecisionTree, browser: Browser
) -> None:
    page = write_document(str(tmp_path), "Loop", "", round_sections(tree, rounds_of(tree), 40))
    with opened(browser, Path(page), viewport={"width": width, "height": 844}) as seen:
        plots = seen.page.locator("figure.plot").evaluate_all(SEEN)
        assert seen.complaints() == []
        assert seen.page.evaluate("document.documentElement.scrollWidth") == width
    assert len(plots) == 2
    for plot in plots:
        assert plot["texts"] > 8
        assert plot["beyond"] == 0
        assert plot["smallest"] >= 5  # of "0"; a letter of 8 points on a phone is 11 pixels high
