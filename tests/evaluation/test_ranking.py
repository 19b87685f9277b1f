"""Rankings of parts, merged in any order, are the ranking of the whole."""

from __future__ import annotations

from functools import reduce

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation.ranking import Moments, RankedGalaxy, Ranking, moments, no_ranking, rank

SIZE = 3
VALUES = st.sampled_from([-2.0, 0.0, 0.5, 0.5000001, 7.0, np.nan, np.inf, -np.inf])
SURVEYS = st.lists(st.lists(st.tuples(VALUES, VALUES), max_size=6), min_size=1, max_size=6)


def rankings(survey: list[list[tuple[float, float]]], names: list[str]) -> list[Ranking]:
    """One for each part; galaxies get the names one after another."""
    parts, start = [], 0
    for number, part in enumerate(survey):
        values = np.array(part, np.float32).reshape(-1, 2)
        ids = names[start : start + len(part)]
        parts.append(rank(values, ids, f"s{number}", np.arange(len(part)) + 10, SIZE))
        start += len(part)
    return parts


def listed(ranking: Ranking) -> list[list[RankedGalaxy]]:
    return [ranking.first(quantity, SIZE) for quantity in range(len(ranking.values))]


@given(SURVEYS, st.randoms())
def test_any_order_and_any_grouping_give_the_best_of_all(survey: list, random) -> None:
    names = [f"g{number}" for number in range(sum(map(len, survey)))]
    random.shuffle(names)
    parts = rankings(survey, names)
    flat = [
        (name, f"s{number}", row + 10, pair)
        for (number, row, pair), name in zip(
            ((n, r, pair) for n, part in enumerate(survey) for r, pair in enumerate(part)), names, strict=True
        )
    ]
    expected = [
        sorted(
            (
                RankedGalaxy(name, shard, row, float(np.float32(pair[quantity])))
                for name, shard, row, pair in flat
                if np.isfinite(pair[quantity])
            ),
            key=lambda place: (-place.value, place.object_id),
        )[:SIZE]
        for quantity in (0, 1)
    ]
    random.shuffle(parts)
    cut = random.randint(0, len(parts))
    none = no_ranking(2, SIZE)
    left, right = (reduce(Ranking.merged, some, none) for some in (parts[:cut], parts[cut:]))
    for merged in (reduce(Ranking.merged, parts, none), left.merged(right), right.merged(left)):
        assert listed(merged) == expected
        assert merged.values.shape == (2, SIZE)


@given(st.lists(st.lists(st.floats(-1e3, 1e3, width=32), max_size=8), min_size=1, max_size=5))
def test_moments_of_parts_are_those_of_the_whole(parts: list[list[float]]) -> None:
    columns = [np.array(part, np.float64)[:, None] for part in parts]
    merged = reduce(Moments.merged, [moments(column) for column in columns])
    whole = np.concatenate(columns)
    assert merged.count == len(whole)
    if len(whole):
        assert merged.mean[0] == pytest.approx(whole.mean(), abs=1e-9)
        assert merged.variance[0] == pytest.approx(whole.var(), rel=1e-9, abs=1e-6)
