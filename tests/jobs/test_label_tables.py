"""Galaxies that were chosen by their votes get the proportions of a fair sample."""

from __future__ import annotations

import numpy as np

from jobs.recipes.tables import importance


def test_weights_take_away_what_choosing_clear_galaxies_did() -> None:
    random = np.random.default_rng(0)
    smooth = random.beta(0.8, 0.8, 9000)
    fair = np.arange(9000) < 3000
    kept = fair | (np.abs(smooth - 0.4) > 0.35)  # the others are chosen for being clear, more of them smooth
    votes, fair = np.stack([smooth, 1 - smooth, np.full(9000, np.nan)], axis=1)[kept], fair[kept]
    weights = importance(votes, fair)
    assert np.isclose(weights.mean(), 1)
    wanted = np.histogram(votes[fair, 0], bins=10, range=(0, 1))[0] / fair.sum()
    plain = np.histogram(votes[:, 0], bins=10, range=(0, 1))[0] / len(votes)
    weighted = np.histogram(votes[:, 0], bins=10, range=(0, 1), weights=weights)[0] / weights.sum()
    assert np.abs(weighted - wanted).max() < 0.01 < np.abs(plain - wanted).max()
