"""Found clumps against known ones."""

from __future__ import annotations

import itertools

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.clumps.matching import UNKNOWN, Score, match

PLACES = st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), max_size=8)


@given(PLACES, PLACES, st.integers(1, 20))
def test_each_goes_to_the_nearest_that_is_free(
    found: list[tuple[int, int]], known: list[tuple[int, int]], radius: int
) -> None:
    matches = match(found, known, radius)
    taken = [place for place in matches.tolist() if place >= 0]
    assert len(taken) == len(set(taken))
    for number, (place, matched) in enumerate(zip(found, matches.tolist(), strict=True)):
        free = set(range(len(known))) - set(matches[:number].tolist())
        distances = {other: np.hypot(*np.subtract(known[other], place)) for other in free}
        near = {other for other, distance in distances.items() if distance <= radius}
        assert (matched >= 0) == bool(near)
        if near:
            assert distances[matched] == min(distances.values())


def test_what_lies_near_an_unknown_place_counts_neither_way() -> None:
    score = Score.empty()
    matches = match([[0, 0], [30, 0], [60, 0]], [[1, 0], [90, 0]], 5, unknown=[[31, 0], [1, 0]])
    assert matches.tolist() == [0, UNKNOWN, -1]
    score.add(matches, [0.1, 0.01], [0.09, 0.2, 0.05])
    assert score.completeness() == 0.5
    assert score.completeness(0.05) == 1
    assert score.purity() == 0.5
    assert score.purity(0.08) == 1
    assert np.isnan(score.purity(0.5))


def test_scores_of_galaxies_add_up() -> None:
    score = Score.empty()
    for matches, ratios in itertools.product(([0], [-1]), ([0.1],)):
        score.add(np.array(matches), ratios, [0.1])
    assert (score.completeness(), score.purity()) == (0.5, 0.5)
