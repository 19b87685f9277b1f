"""Maps of embeddings: look-alikes side by side, the same each time, and rows spread over them."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as nps

from pipeline.errors import InputError
from pipeline.representations.layout import check_library, lay_out, spread_out
from tests.support.embedded import clouds

UNIT = st.floats(0, 1, width=32)


def test_galaxies_of_a_kind_lie_together_and_a_seed_says_where() -> None:
    vectors, rare = clouds(400)
    places = lay_out(vectors, seed=1)
    assert places.shape == (400, 2)
    assert np.ptp(places, axis=0).max() == pytest.approx(1)
    assert places.min() >= 0
    assert places.max() <= 1
    apart = np.linalg.norm(places[:, None] - places[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    neighbours = rare[np.argsort(apart, axis=1)[:, :5]].mean(axis=1)
    assert neighbours[rare].mean() > 0.8
    assert neighbours[~rare].mean() < 0.1
    np.testing.assert_array_equal(lay_out(vectors, seed=1), places)
    assert (lay_out(vectors, seed=2) != places).any()


def test_galaxies_without_a_direction_are_laid_out_too() -> None:
    vectors, _ = clouds(60)
    vectors[:20] = 0
    vectors[20:40] = vectors[41]
    assert np.isfinite(lay_out(vectors)).all()


def test_what_is_all_the_same_is_no_map() -> None:
    with pytest.raises(InputError, match="all 60 galaxies have the same embedding"):
        lay_out(np.full((60, 64), 3, np.int8))


def test_the_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pacmap", None)  # as if it weren't installed
    with pytest.raises(InputError, match=r"pip install 'tuningfork\[map\]'"):
        check_library()


@given(nps.arrays(np.float32, st.tuples(st.integers(0, 60), st.just(2)), elements=UNIT), st.integers(0, 80))
def test_each_row_is_chosen_once_at_most_and_fewer_are_the_first_of_more(
    places: np.ndarray, count: int
) -> None:
    chosen = spread_out(places, count)
    assert len(chosen) == min(count, len(places))
    assert len(set(chosen.tolist())) == len(chosen)
    np.testing.assert_array_equal(spread_out(places, count + 7)[: len(chosen)], chosen)


def test_thin_parts_of_a_map_are_chosen_from_as_well() -> None:
    rng = np.random.default_rng(0)
    crowd = np.clip(rng.normal(0.2, 0.02, (5000, 2)), 0, 1)
    places = np.concatenate([crowd, rng.uniform(0.5, 1, (50, 2))]).astype(np.float32)
    chosen = spread_out(places, 100)
    assert (chosen >= 5000).sum() > 20
