"""Equal-count bins by hand and by property, and the trend test against a published example."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import norm

from pipeline.evaluation import bin_numbers, equal_count_bins, rising_trend

values = hnp.arrays(np.float64, st.integers(1, 60), elements=st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, 1.0]))


def test_bins_by_hand() -> None:
    found = equal_count_bins([0.9, 0.1, 0.5, 0.2, 0.7], [1, 0, 1, 0, 0], count=2)
    assert [(b.galaxies, b.low, b.high) for b in found] == [(3, 0.1, 0.5), (2, 0.7, 0.9)]
    assert [b.mean for b in found] == pytest.approx([0.8 / 3, 0.8])
    assert [b.accuracy for b in found] == pytest.approx([1 / 3, 1 / 2])


def test_ties_share_their_accuracy() -> None:
    found = equal_count_bins([0.5, 0.5, 0.5, 0.5], [1, 0, 0, 0], count=2)
    assert [b.accuracy for b in found] == [0.25, 0.25]


def test_few_galaxies_make_few_bins() -> None:
    assert equal_count_bins([], []) == []
    assert [b.galaxies for b in equal_count_bins([0.3, 0.1], [1, 1])] == [1, 1]


@given(values, st.randoms(use_true_random=False))
def test_bins_hold_all_galaxies_evenly_whatever_their_order(value: np.ndarray, random: object) -> None:
    rng = np.random.default_rng(random.getrandbits(32))  # type: ignore[attr-defined]
    correct = rng.random(len(value)) < value
    found = equal_count_bins(value, correct)
    counts = [b.galaxies for b in found]
    assert sum(counts) == len(value)
    assert max(counts) - min(counts) <= 1
    assert sum(b.accuracy * b.galaxies for b in found) == pytest.approx(correct.sum())
    order = rng.permutation(len(value))
    again = equal_count_bins(value[order], correct[order])
    assert [b.accuracy for b in again] == pytest.approx([b.accuracy for b in found])
    np.testing.assert_allclose(bin_numbers(value)[order], bin_numbers(value[order]))


def test_the_trend_of_a_published_example() -> None:
    """Mothers' alcohol and malformations: Agresti 2002, table 5.4 and section 5.3.5, z² = 6.57."""
    scores = [0, 0.5, 1.5, 4, 7]
    present, absent = [48, 38, 5, 1, 1], [17066, 14464, 788, 126, 37]
    x = np.repeat(scores * 2, present + absent)
    y = np.repeat([1, 0], [sum(present), sum(absent)])
    found = rising_trend(x, y)
    assert found.z**2 == pytest.approx(6.57, abs=0.005)
    assert found.p == pytest.approx(norm.sf(found.z))
    assert 2 * found.p == pytest.approx(0.010, abs=0.0005)
    assert rising_trend(-x, y).p == pytest.approx(1 - found.p)


@pytest.mark.parametrize(("scores", "correct"), [([], []), ([1, 1], [0, 1]), ([1, 2], [1, 1])])
def test_without_any_difference_there_is_no_trend(scores: list[int], correct: list[int]) -> None:
    assert np.isnan(rising_trend(scores, correct).z)


def test_nobody_was_asked() -> None:
    assert len(bin_numbers([])) == 0
    assert np.isnan(rising_trend(bin_numbers([]), []).z)
