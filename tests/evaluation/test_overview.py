"""Catalogues that are read in pieces."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.catalogue.classes import read_classes
from pipeline.errors import InputError
from pipeline.evaluation.examples import choose_galaxies
from pipeline.evaluation.overview import read_catalogue
from tests.support.catalogues import TREE, catalogue, random_probabilities

ROWS = 700


@pytest.mark.parametrize(("rows", "most"), [(9, 9), (64, 1), (64, 2000), (699, 60), (5000, 2000)])
def test_pieces_make_no_difference(rows: int, most: int) -> None:
    table = catalogue(random_probabilities(ROWS))
    pieces = [table.slice(start, rows) for start in range(0, ROWS, rows)]
    counts, shown = read_catalogue(TREE, pieces, most)
    assert counts.rows == sum(counts.classes) == sum(counts.confidence.counts) == ROWS
    whole, _ = read_catalogue(TREE, [table], most)
    assert (counts.classes, counts.confidence, counts.agreement) == (
        whole.classes,
        whole.confidence,
        whole.agreement,
    )
    for key, means in whole.means.items():
        assert counts.means[key].asked == pytest.approx(means.asked)
        assert counts.means[key].shares == pytest.approx(means.shares)
    assert len(shown) == min(most, ROWS)
    # Which of the largest classes gets a place that is left over is a matter of taste; who gets in is not.
    reading, taken = read_classes(TREE, table), read_classes(TREE, shown)
    for morphology in np.unique(taken.classes):
        best = np.sort(reading.confidence[reading.classes == morphology])[::-1]
        mine = taken.confidence[taken.classes == morphology]
        np.testing.assert_array_equal(mine, best[: len(mine)])
    sizes = [
        np.bincount(read_classes(TREE, t).classes, minlength=13)
        for t in (shown, choose_galaxies(TREE, table, most))
    ]
    assert np.abs(sizes[0] - sizes[1]).max() <= 1


def test_no_galaxies_to_show_is_refused() -> None:
    with pytest.raises(InputError, match="at least 1"):
        read_catalogue(TREE, [catalogue(random_probabilities(3))], 0)
