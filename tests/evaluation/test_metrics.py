"""Scores, against values by hand and scipy's bootstrap."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import bootstrap

from pipeline.evaluation import galaxy_rmse, rmse, rmse_difference, rmse_interval, rmse_scores


def test_the_score_by_hand() -> None:
    assert rmse([[0.0, 1.0], [0.5, 0.5]], [[0.0, 0.0], [0.5, 0.1]]) == pytest.approx(np.sqrt(1.16 / 4))
    assert rmse([[0.0, 1.0], [0.5, 0.5]], [[0.0, np.nan], [0.5, 0.1]]) == pytest.approx(np.sqrt(0.16 / 3))


def test_the_interval_is_scipy_s() -> None:
    random = np.random.default_rng(1)
    votes, predicted = random.random((2, 120, 37))
    predicted[:20] = votes[:20]  # galaxies differ in how well they are answered
    low, high = rmse_interval(predicted, votes)

    def score(rows: np.ndarray) -> float:
        return rmse(predicted[rows.astype(int)], votes[rows.astype(int)])

    theirs = bootstrap(
        (np.arange(120),), score, vectorized=False, n_resamples=2000, method="percentile", rng=2
    ).confidence_interval
    assert low < rmse(predicted, votes) < high
    assert (low, high) == pytest.approx((theirs.low, theirs.high), abs=0.1 * (high - low))
    assert rmse_interval(predicted, votes) == (low, high)


def test_votes_that_are_missing_do_not_widen_the_interval() -> None:
    votes = np.zeros((50, 4))
    votes[:, 2:] = np.nan
    assert rmse_interval(np.full((50, 4), 0.1), votes) == pytest.approx((0.1, 0.1))


def test_scores_of_parts_are_those_of_their_columns() -> None:
    random = np.random.default_rng(2)
    votes, predicted = random.random((2, 40, 5))
    votes[3:, 3] = np.nan
    votes[:, 4] = np.nan
    parts = [slice(0, 5), slice(0, 2), slice(3, 4), slice(4, 5)]
    found = rmse_scores(predicted, votes, parts, draws=200)
    for part, score in zip(parts[:3], found, strict=False):
        assert score.rmse == pytest.approx(rmse(predicted[:, part], votes[:, part]))
        assert score.low <= score.rmse <= score.high
    assert [score.galaxies for score in found] == [40, 40, 3, 0]
    assert np.isnan([found[3].rmse, found[3].low, found[3].high]).all()


def test_the_score_of_a_galaxy_by_hand() -> None:
    votes = [[0.0, 1.0], [np.nan, 0.5], [np.nan, np.nan]]
    found = galaxy_rmse([[0.3, 0.6], [0.9, 0.4], [0.0, 0.0]], votes)
    np.testing.assert_allclose(found, [np.sqrt((0.09 + 0.16) / 2), 0.1, np.nan])


def test_a_difference_is_surer_than_either_score() -> None:
    """Galaxies that are hard for both predictions don't widen it, and missing votes don't count."""
    random = np.random.default_rng(0)
    votes = random.random((300, 5))
    hard = random.exponential(0.1, (300, 1)) * random.choice([-1, 1], (300, 5))
    first, second = votes + hard * 1.05, votes + hard
    votes[::7, 3:] = np.nan
    difference, low, high = rmse_difference(first, second, votes)
    assert difference == pytest.approx(rmse(first, votes) - rmse(second, votes))
    assert 0 < low < difference < high
    of_one = rmse_interval(first, votes)
    assert high - low < (of_one[1] - of_one[0]) / 10
    assert rmse_difference(second, first, votes)[0] == pytest.approx(-difference)
