"""Intervals of shares: those of textbooks, and wide enough where galaxies count in part."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta

from pipeline.evaluation.proportion import proportion_interval


@given(st.integers(0, 3000), st.integers(0, 3000), st.floats(0.01, 0.2))
def test_the_interval_is_that_of_clopper_and_pearson(right: int, wrong: int, alpha: float) -> None:
    """Quantiles of beta distributions, as they are in textbooks."""
    low = beta.ppf(alpha / 2, right, wrong + 1) if right else 0.0
    high = beta.ppf(1 - alpha / 2, right + 1, wrong) if wrong else 1.0
    np.testing.assert_allclose(
        proportion_interval(right, right + wrong, alpha), (low, high), rtol=0, atol=2e-12
    )


def test_of_no_galaxies_nothing_is_known() -> None:
    assert proportion_interval(0, 0) == (0.0, 1.0)


def test_shares_of_galaxies_are_within_as_often_as_said() -> None:
    """Galaxies of three answers each, that are right together more often than by chance."""
    random = np.random.default_rng(1)
    within = 0
    for _ in range(400):
        chance = random.beta(4.5, 0.5, 60)
        low, high = proportion_interval(float((random.random((3, 60)) < chance).mean(axis=0).sum()), 60)
        within += low <= 0.9 <= high
    assert within >= 380
