"""Odd galaxies, unasked: their embeddings are far from the nearest of a few galaxies drawn at random."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.catalogue.embedding import STEP
from pipeline.representations.gathering import Values

SAMPLE = 50_000
"""Galaxies of a catalogue, drawn at random, among which a person is shown some."""

_DRAWS, _DRAWN = 8, 32
_BLOCK = 8_192
"""Galaxies whose distances are in memory at a time."""


def oddity(sample: NDArray[np.int8], seed: int = 0) -> Values:
    """A function that says how odd embeddings (n, 64) are among those of a sample.

    32 galaxies of the sample are drawn, eight times. How odd a galaxy is, is its distance from the nearest of
    the 32 in the embedding's units, the mean over the eight draws. A galaxy is never compared with itself.

    References
    ----------
    Sugiyama & Borgwardt 2013, Rapid distance-based outlier detection via sampling.
    """
    rng = np.random.default_rng(seed)
    drawn = [rng.permutation(len(sample))[:_DRAWN] for _ in range(_DRAWS)]
    # Whole numbers below 2²⁴, which float32 holds exactly: a distance is the same on any machine.
    points = sample[np.concatenate(drawn)].astype(np.float32)
    lengths = np.square(points).sum(axis=1)[:, None]

    def score(vectors: NDArray[np.int8]) -> NDArray[np.floating]:
        scores = np.empty(len(vectors), np.float32)
        for start in range(0, len(vectors), _BLOCK):
            block = vectors[start : start + _BLOCK].astype(np.float32)
            apart = (-2 * points) @ block.T
            apart += lengths
            own = np.einsum("ij,ij->i", block, block)
            each = apart.reshape(_DRAWS, -1, len(block))
            near = each.min(axis=1) + own
            rows = np.flatnonzero((near == 0).any(axis=0))
            others = each[..., rows] + own[rows]
            near[:, rows] = np.where(others > 0, others, np.inf).min(axis=1)
            near[np.isinf(near)] = 0  # all that were drawn are the same
            scores[start : start + _BLOCK] = np.sqrt(near, out=near).mean(axis=0)
        return scores * np.float32(STEP)

    return score
