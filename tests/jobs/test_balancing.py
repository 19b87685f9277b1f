"""Galaxies that were chosen by their votes get the proportions of a fair sample."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.recipes.balancing import balancing_weights


def drawn(random: np.random.Generator, count: int) -> np.ndarray:
    """Votes on two questions, the second asked of those who say no to the first."""
    smooth = random.beta(0.8, 0.8, count)
    spiral = (1 - smooth) * random.beta(0.7, 1.5, count)
    return np.stack([smooth, 1 - smooth, spiral, 1 - smooth - spiral], axis=1)


@given(st.integers(0, 2**32 - 1))
def test_weights_take_away_what_choosing_clear_galaxies_did(seed: int) -> None:
    """Also where only a few fair galaxies have votes on the question by which most were chosen."""
    random = np.random.default_rng(seed)
    every = drawn(random, 20_000)
    spiral = every[:, 2] / every[:, [2, 3]].sum(axis=1)
    clear = every[np.abs(spiral - 0.5) > 0.3][:5_000]
    half_known = drawn(random, 4_000)
    half_known[:, 2:] = np.nan
    votes = np.concatenate([clear, drawn(random, 1_500), half_known])
    weights = balancing_weights(votes, np.arange(len(votes)) >= len(clear))
    assert np.isclose(weights.mean(), 1)
    assert (weights[-4_000:] == 1).all()
    known, counted = votes[:-4_000], weights[:-4_000]
    wanted, plain = drawn(random, 50_000).mean(axis=0), known.mean(axis=0)
    weighted = counted @ known / counted.sum()
    assert np.abs(weighted - wanted).max() < 0.02 < np.abs(plain - wanted).max()


def test_a_fair_sample_is_left_as_it_is() -> None:
    votes = drawn(np.random.default_rng(0), 500)
    assert np.allclose(balancing_weights(votes, np.ones(500, bool)), 1, atol=1e-6)


def test_what_no_fair_galaxy_tells_of_cannot_be_balanced() -> None:
    votes = drawn(np.random.default_rng(0), 50)
    fair = np.arange(50) < 10
    votes[fair, 3] = np.nan
    with pytest.raises(ValueError, match="no galaxy of the fair sample"):
        balancing_weights(votes, fair)
    with pytest.raises(ValueError, match="isn't of the fair sample"):
        balancing_weights(np.where(fair[:, None], votes, np.nan), fair)
