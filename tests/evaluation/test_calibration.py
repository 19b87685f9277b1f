"""Reliability against scikit-learn's calibration curve, and the error by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.calibration import calibration_curve

from pipeline.evaluation import expected_calibration_error, reliability


@given(
    hnp.arrays(np.float64, st.integers(1, 80), elements=st.integers(0, 20).map(lambda i: i / 20)),
    st.integers(0, 1000),
)
def test_the_diagram_is_scikit_learn_s(probabilities: np.ndarray, seed: int) -> None:
    outcomes = np.random.default_rng(seed).integers(0, 2, len(probabilities))
    found = reliability(probabilities, outcomes)
    theirs = calibration_curve(outcomes, probabilities, n_bins=10) if np.ptp(outcomes) else None
    if theirs is not None:
        np.testing.assert_allclose([b.outcome for b in found], theirs[0])
        np.testing.assert_allclose([b.probability for b in found], theirs[1])
    assert sum(b.galaxies for b in found) == len(probabilities)


def test_the_error_by_hand() -> None:
    bins = reliability([0.95, 0.95, 0.95, 0.35], [1, 1, 0, 1])
    assert [(b.galaxies, round(b.low, 1), round(b.high, 1)) for b in bins] == [(1, 0.3, 0.4), (3, 0.9, 1.0)]
    assert expected_calibration_error(bins) == pytest.approx((0.65 + 3 * (0.95 - 2 / 3)) / 4)


def test_what_is_always_right_and_sure_has_no_error() -> None:
    assert expected_calibration_error(reliability(np.ones(5), np.ones(5))) == 0
    assert np.isnan(expected_calibration_error(reliability([], [])))


def test_shares_are_outcomes_too() -> None:
    assert expected_calibration_error(reliability([0.6, 0.8], [0.6, 0.8])) == pytest.approx(0)
