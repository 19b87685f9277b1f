"""A researcher's taste: a Gaussian process that predicts ratings from embeddings, and says what to rate next.

References
----------
Walmsley et al. 2022, Practical galaxy morphology tools from deep supervised representation learning.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve
from scipy.stats import norm
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, WhiteKernel

from pipeline.representations.gathering import decoded

FEWEST = 5
"""Ratings from which a taste can be learnt."""

_BLOCK = 8_192
"""Galaxies whose likeness to all rated ones is in memory at a time."""


@dataclass(frozen=True)
class Taste:
    """Predicts ratings.

    Attributes
    ----------
    ratings : ndarray, shape (rated,)
        Those that it was learnt from.
    """

    ratings: NDArray[np.float64]
    _process: GaussianProcessRegressor = field(repr=False)

    def __call__(self, vectors: NDArray[np.int8]) -> NDArray[np.float32]:
        """The expected rating of n galaxies by their embeddings (n, 64), in blocks of bounded memory."""
        process = self._process
        amplitude, length = np.exp(process.kernel_.theta[:2])
        rated = (process.X_train_ / length).astype(np.float32)
        weights = (amplitude * process.alpha_).astype(np.float32)
        mean, spread = float(process._y_train_mean), float(process._y_train_std)
        own = 0.5 * np.square(rated).sum(axis=1)
        expected = np.empty(len(vectors), np.float32)
        for start in range(0, len(vectors), _BLOCK):
            block = decoded(vectors[start : start + _BLOCK]) / np.float32(length)
            # exp(-|a - b|² / 2), by one product of matrices.
            likeness = block @ rated.T
            likeness -= own
            likeness -= 0.5 * np.square(block).sum(axis=1)[:, None]
            expected[start : start + _BLOCK] = np.exp(likeness, out=likeness) @ weights
        return expected * np.float32(spread) + np.float32(mean)

    def improvement(self, vectors: NDArray[np.int8]) -> NDArray[np.float64]:
        """By how much a rating of each of n galaxies is expected to surpass the best so far."""
        parts = [self._improvement(vectors[i : i + _BLOCK]) for i in range(0, len(vectors), _BLOCK)]
        return np.concatenate([np.zeros(0), *parts])

    def _improvement(self, vectors: NDArray[np.int8]) -> NDArray[np.float64]:
        expected, deviation = self._process.predict(decoded(vectors).astype(np.float64), return_std=True)
        gain = expected - self.ratings.max()
        deviation = np.maximum(deviation, 1e-9)
        improvement: NDArray[np.float64] = gain * norm.cdf(gain / deviation)
        improvement += deviation * norm.pdf(gain / deviation)
        return improvement

    @property
    def left_out(self) -> NDArray[np.float64]:
        """The rating that is expected of each rated galaxy from the ratings of the others (in closed form).

        References
        ----------
        Rasmussen & Williams 2006, Gaussian processes for machine learning, equation 5.12.
        """
        process = self._process
        precision = cho_solve((process.L_, True), np.eye(len(self.ratings)))
        left = process.alpha_.ravel() / np.diag(precision) * float(process._y_train_std)
        return np.asarray(self.ratings - left, np.float64)


def learn_taste(vectors: NDArray[np.int8], ratings: NDArray[np.float64]) -> Taste | None:
    """Learn from the embeddings (n, 64) of rated galaxies; None where these are too few, or rated alike."""
    if len(ratings) < FEWEST or np.ptp(ratings) == 0:
        return None
    kernel = ConstantKernel(1.0, (0.1, 100)) * RBF(8.0, (2, 100)) + WhiteKernel(0.3, (0.05, 2))
    process = GaussianProcessRegressor(kernel, normalize_y=True)
    with warnings.catch_warnings():
        # A kernel's best value may lie at its bound.
        warnings.simplefilter("ignore", ConvergenceWarning)
        process.fit(decoded(vectors).astype(np.float64), ratings)
    return Taste(np.asarray(ratings, np.float64), process)
