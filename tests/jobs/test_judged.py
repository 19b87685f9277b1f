"""The gallery of an evaluation: pictures of the galaxies whose cutouts can be read, no failure for others."""

from __future__ import annotations

import pytest

from pipeline.cutouts import CUTOUT_SCHEMA
from pipeline.evaluation.labelled import Labelled
from pipeline.report.judged import gallery_of
from tests.support.catalogues import TREE, cutouts, parse, random_probabilities

IDS = ("a", "b", "c")
PLACES = {"s.parquet#0": "a", "s.parquet#7": "c"}
LABELLED = Labelled(
    TREE,
    IDS,
    random_probabilities(3),
    random_probabilities(3, seed=1),
    ("s.parquet#0", None, "s.parquet#7"),
    unlabelled=0,
    unmatched=0,
)


def test_pictures_are_read_where_the_catalogue_tells() -> None:
    page = parse(gallery_of(LABELLED, lambda places: cutouts([PLACES[place] for place in places])).html)
    assert len(page.of("li", "tile")) == 3
    assert len(page.of("img")) == 2
    assert len(page.of("span", "missing")) == 1


@pytest.mark.parametrize("most", [2, 400])
def test_galaxies_whose_cutouts_are_gone_have_no_picture(most: int) -> None:
    page = parse(gallery_of(LABELLED, lambda places: CUTOUT_SCHEMA.empty_table(), most).html)
    assert len(page.of("span", "missing")) == min(most, 3)
    assert page.of("img") == []
