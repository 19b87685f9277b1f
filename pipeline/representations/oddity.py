"""Odd galaxies, unasked: those whose embeddings a few random cuts set apart from all others."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import IsolationForest

from pipeline.representations.gathering import Values, decoded

SAMPLE = 50_000
"""Galaxies of a catalogue, drawn at random, that the forest is grown from."""

_TREES = 100


def oddity(sample: NDArray[np.int8], seed: int = 0) -> Values:
    """A function that says how odd embeddings (n, 64) are among those of a sample: from 0 to 1.

    References
    ----------
    Liu, Ting & Zhou 2008, Isolation forest.
    """
    forest = IsolationForest(n_estimators=_TREES, random_state=seed).fit(decoded(sample))

    def score(vectors: NDArray[np.int8]) -> NDArray[np.floating]:
        return np.asarray(-forest.score_samples(decoded(vectors)), np.float32)

    return score
