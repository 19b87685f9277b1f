"""How unlike the training pictures a picture is: a distance between statistics of their pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.config import StrictModel

COMPARED = ("out_of_place", "frame_ratio")
"""Columns that compare a picture with those trained on."""

USUAL = 0.95
"""Share of pictures of the training pictures' kind whose score is at most 1."""

_SHRINKAGE = 0.02
_SIZES = (0.005, 0.995)


class Familiarity(StrictModel):
    """Where the training pictures lie among all pictures.

    Attributes
    ----------
    mean
        Mean statistics of the training pictures (see `Appearance`).
    whitening
        Rows of a matrix by which statistics become uncorrelated, each of variance 1.
    usual
        Distance that a share `USUAL` of pictures of their kind, not trained on, don't pass.
    size, smallest, largest
        Median size of a galaxy in its frame, and the sizes between which nearly all are.
    """

    mean: tuple[float, ...]
    whitening: tuple[tuple[float, ...], ...]
    usual: float
    size: float
    smallest: float
    largest: float

    def out_of_place(self, statistics: ArrayLike) -> NDArray[np.float32]:
        """Mahalanobis distances from the training pictures, shape (n,), in units of `usual`.

        A score above 1 is rarer than 1 in 20 among pictures like those trained on.
        """
        centred = np.asarray(statistics, np.float64) - np.array(self.mean)
        distance = np.linalg.norm(centred @ np.array(self.whitening).T, axis=1)
        return np.asarray(distance / self.usual, np.float32)

    def frame_ratio(self, sizes: ArrayLike) -> NDArray[np.float32]:
        """Sizes of galaxies in their frames, in units of the training pictures' median."""
        return np.asarray(np.asarray(sizes, np.float64) / self.size, np.float32)

    @property
    def usual_frames(self) -> tuple[float, float]:
        """Frame ratios between which nearly all training pictures are."""
        return self.smallest / self.size, self.largest / self.size


def fit_familiarity(statistics: ArrayLike, sizes: ArrayLike, others: ArrayLike) -> Familiarity:
    """Describe the training pictures.

    Parameters
    ----------
    statistics : array_like, shape (n, d)
        Of training pictures.
    sizes : array_like, shape (n,)
        Of their galaxies.
    others : array_like, shape (m, d)
        Statistics of pictures of the same kind that weren't trained on.
    """
    values = np.asarray(statistics, np.float64)
    mean, covariance = values.mean(axis=0), np.cov(values, rowvar=False)
    variances = np.diag(covariance)
    covariance = (1 - _SHRINKAGE) * covariance + _SHRINKAGE * np.diag(variances) + 1e-9 * np.eye(len(mean))
    whitening = np.linalg.inv(np.linalg.cholesky(covariance))
    smallest, size, largest = np.quantile(np.asarray(sizes, np.float64), (_SIZES[0], 0.5, _SIZES[1]))
    unscaled = Familiarity(
        mean=tuple(mean.tolist()),
        whitening=tuple(map(tuple, whitening.tolist())),
        usual=1.0,
        size=float(size),
        smallest=float(smallest),
        largest=float(largest),
    )
    usual = float(np.quantile(unscaled.out_of_place(others), USUAL))
    return unscaled.model_copy(update={"usual": usual})
