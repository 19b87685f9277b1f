"""Hart et al.'s correction: a share keeps its rank among like galaxies, and takes what has that rank near by.

Of each answer the cumulative distribution of log10 f is a function of two parameters, k and c, which depend
on magnitude, size and redshift. A share f of a galaxy is as high among galaxies like it as the corrected
share is among galaxies of the same magnitude and size at a low redshift. The corrected shares of a question
are divided by their sum. A share of 0 stays 0.

Where the paper fits k and c in each of 30 Voronoi cells by redshift bins, and then how they depend on the
galaxy, here both steps are one fit over all bins, whose cells are halved at the medians of size and magnitude
in turn: no bin's own fit can fail, and none needs to be clipped. Galaxies nearer than the low redshift count
as if they were there: they are taken for unbiased, and what differs among them isn't to be carried outwards.

References
----------
Hart et al. 2016, MNRAS 461, 3663 (arXiv:1607.01019), section 3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from pipeline.volunteers.debiasing.galaxies import Galaxies
from pipeline.volunteers.debiasing.learning import LOW_REDSHIFT

GALAXIES_EACH = 50
"""Galaxies of a bin that have votes for the answer."""

_CELLS_HALVED = 5
_GRID = np.log10(np.linspace(10**-1.5, 1, 25))[:-1]
_LEAST_BINS = 8
_LEAST_SPREAD = 1.2
"""The redshifts of bins must differ by this factor, or nothing is learnt."""

Form = Literal["logistic", "power"]
Rows = NDArray[np.float64]


def _logistic(x: Rows, k: Rows, c: Rows) -> Rows:
    return np.asarray((1 + np.exp(c)) / (1 + np.exp(c - k * x)))


def _logistic_inverse(y: Rows, k: Rows, c: Rows) -> Rows:
    return np.asarray((c - np.log(((1 + np.exp(c)) / y - 1).clip(min=1e-300))) / k)


def _power(x: Rows, k: Rows, c: Rows) -> Rows:
    return np.asarray(np.exp(-k * (-x).clip(min=0) ** np.exp(c)))


def _power_inverse(y: Rows, k: Rows, c: Rows) -> Rows:
    return np.asarray(-((-np.log(y.clip(1e-300, 1)) / k) ** np.exp(-c)))


_FORMS: dict[Form, tuple[Callable[[Rows, Rows, Rows], Rows], Callable[[Rows, Rows, Rows], Rows]]] = {
    "logistic": (_logistic, _logistic_inverse),
    "power": (_power, _power_inverse),
}
_START: dict[Form, tuple[float, float]] = {"logistic": (1.0, -1.0), "power": (0.7, 0.0)}
_FEW, _MORE = 4, 7
"""Terms of ln k and of c: a constant and one of each property; the redshift's square and products besides."""

_MOST_C: dict[Form, float] = {"logistic": 10.0, "power": 2.5}


@dataclass(frozen=True)
class Curve:
    """The distribution of an answer's shares.

    Attributes
    ----------
    form
        Which function of log10 f it is.
    logarithmic
        Whether k and c go with the logarithm of the redshift.
    redshift
        At which shares are unbiased, and nearer.
    centre, scale, low, high : ndarray, shape (3,)
        Of magnitude, log10 size and redshift, or its logarithm: mean, spread and range of the bins. Beyond
        the range a galaxy is taken for one at its edge.
    coefficients : ndarray, shape (8,) or (14,)
        Of ln k, then of c (of ln c, in ``power``); see `_FEW`.
    """

    form: Form
    logarithmic: bool
    redshift: float
    centre: NDArray[np.float64]
    scale: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    coefficients: NDArray[np.float64]

    def debiased(self, shares: Rows, galaxies: Galaxies) -> Rows:
        """What has the same rank near by; of shares above 0."""
        here = _features(galaxies, self.redshift, self.logarithmic)
        near = here.copy()
        near[:, 2] = np.log10(self.redshift) if self.logarithmic else self.redshift
        there = [self._parameters(one) for one in (here, near)]
        curve, inverse = _FORMS[self.form]
        x = np.log10(shares)
        rank = curve(x, *there[0]).clip(1e-12, 1)
        return np.asarray(10 ** np.minimum(inverse(rank, *there[1]), 0.0))

    def _parameters(self, features: Rows) -> tuple[Rows, Rows]:
        standard = (features.clip(self.low, self.high) - self.centre) / self.scale
        return _parameters(self.form, self.coefficients, standard)


@dataclass(frozen=True)
class Distributions:
    """Corrections of one question.

    Attributes
    ----------
    curves
        By answer; None where too few galaxies have votes for it, whose shares change only by what the others'
        sum to.
    """

    curves: tuple[Curve | None, ...]

    def apply(
        self, shares: NDArray[np.float64], galaxies: Galaxies
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Keep the rank; see `pipeline.volunteers.debiasing.learning.Correction`."""
        result = shares.copy()
        for column, curve in enumerate(self.curves):
            some = np.flatnonzero(shares[:, column] > 0)
            if curve is not None and len(some):
                result[some, column] = curve.debiased(shares[some, column], galaxies.take(some))
        return result / result.sum(axis=1, keepdims=True), np.ones(len(shares), bool)


def fit_distributions(
    shares: NDArray[np.float64], galaxies: Galaxies, redshift: float = LOW_REDSHIFT
) -> Distributions | None:
    """Learn the corrections of one question.

    Parameters
    ----------
    shares : ndarray, shape (n, answers)
        They sum to 1.
    redshift
        At which they are to be taken for unbiased. Nearer galaxies stay as they are.
    """
    curves = tuple(_curve(column, galaxies, redshift) for column in shares.T)
    return Distributions(curves) if any(curves) else None


def _curve(shares: Rows, galaxies: Galaxies, redshift: float) -> Curve | None:
    """The best of the forms, with more terms if these foretell left-out bins better.

    None if there are too few galaxies.
    """
    voted = shares > 0
    if voted.sum() < _LEAST_BINS * GALAXIES_EACH:
        return None
    bins = _bins(galaxies, voted)
    counts = np.bincount(bins)
    heights = np.stack(
        [
            np.bincount(bins, np.log10(shares.clip(min=1e-9)) <= x, len(counts)) / counts.clip(min=1)
            for x in _GRID
        ],
        axis=1,
    )[counts > 0]
    weights = np.sqrt(counts[counts > 0])
    best, least = None, np.inf
    for logarithmic in (False, True):
        features = _features(galaxies, redshift, logarithmic)
        sums: Rows = np.stack([np.bincount(bins, one, len(counts)) for one in features.T], axis=1)
        means = sums[counts > 0] / counts[counts > 0, None]
        redshifts = 10 ** means[:, 2] if logarithmic else means[:, 2]
        if len(means) < _LEAST_BINS or redshifts.max() < _LEAST_SPREAD * redshifts.min():
            return None
        centre, scale = means.mean(axis=0), means.std(axis=0).clip(min=1e-9)
        standard, limits = (means - centre) / scale, (means.min(axis=0), means.max(axis=0))
        for form in _FORMS:
            coefficients = _fit(form, _FEW, standard, heights, weights)
            loss = float((_residuals(form, coefficients, standard, heights, weights) ** 2).sum())
            if loss < least:
                best = Curve(form, logarithmic, redshift, centre, scale, *limits, coefficients)
                least, bins_of_best = loss, standard
    assert best is not None
    data = bins_of_best, heights, weights
    if _left_out(best.form, _MORE, *data) < _left_out(best.form, _FEW, *data):
        return replace(best, coefficients=_fit(best.form, _MORE, *data))
    return best


def _left_out(form: Form, terms: int, standard: Rows, heights: Rows, weights: Rows) -> float:
    """How badly each half of the bins is foretold by the other."""
    loss, odd = 0.0, np.arange(len(standard)) % 2 == 1
    for fitted in (odd, ~odd):
        coefficients = _fit(form, terms, standard[fitted], heights[fitted], weights[fitted])
        others = standard[~fitted], heights[~fitted], weights[~fitted]
        loss += float((_residuals(form, coefficients, *others) ** 2).sum())
    return loss


def _fit(form: Form, terms: int, standard: Rows, heights: Rows, weights: Rows) -> Rows:
    start = np.zeros(2 * terms)
    start[[0, terms]] = _START[form]
    fitted = least_squares(
        lambda coefficients: _residuals(form, coefficients, standard, heights, weights), start, max_nfev=100
    )
    return np.asarray(fitted.x)


def _residuals(form: Form, coefficients: Rows, standard: Rows, heights: Rows, weights: Rows) -> Rows:
    k, c = _parameters(form, coefficients, standard)
    model = _FORMS[form][0](_GRID[None], k[:, None], c[:, None])
    return np.asarray(((model - heights) * weights[:, None]).ravel())


def _parameters(form: Form, coefficients: Rows, standard: Rows) -> tuple[Rows, Rows]:
    magnitude, size, z = standard.T
    terms = np.stack([np.ones_like(z), magnitude, size, z, z * z, magnitude * z, size * z], axis=1)
    of_k, of_c = coefficients.reshape(2, -1)
    k = np.exp((terms[:, : len(of_k)] @ of_k).clip(-5, 3))
    c = (terms[:, : len(of_c)] @ of_c).clip(-_MOST_C[form], _MOST_C[form])
    return k, c


def _features(galaxies: Galaxies, redshift: float, logarithmic: bool) -> Rows:
    beyond = np.maximum(galaxies.redshift, redshift)
    z = np.log10(beyond) if logarithmic else beyond
    return np.stack([galaxies.magnitude, np.log10(galaxies.size), z], axis=1)


def _bins(galaxies: Galaxies, voted: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Cells of magnitude and size, each cut by redshift, of as many galaxies that have votes."""
    bins, number = np.zeros(len(voted), np.int64), 0
    for cell in _halved(galaxies, np.arange(len(voted)), voted, _CELLS_HALVED):
        order = cell[np.argsort(galaxies.redshift[cell], kind="stable")]
        with_votes = voted[order].cumsum()
        pieces = max(int(voted[cell].sum()) // GALAXIES_EACH, 1)
        piece = (with_votes * pieces // (with_votes[-1] + 1)).clip(max=pieces - 1)
        bins[order] = number + piece
        number += pieces
    return bins


def _halved(
    galaxies: Galaxies, rows: NDArray[np.int64], voted: NDArray[np.bool_], times: int
) -> list[NDArray[np.int64]]:
    """Parts with the same number of galaxies that have votes, unless they became too few."""
    if times == 0 or voted[rows].sum() < 4 * GALAXIES_EACH:
        return [rows]
    values = (galaxies.magnitude if times % 2 else galaxies.size)[rows]
    below = values <= np.median(values[voted[rows]])
    if below.all():
        return [rows]
    return [
        *_halved(galaxies, rows[below], voted, times - 1),
        *_halved(galaxies, rows[~below], voted, times - 1),
    ]
