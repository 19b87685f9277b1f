"""What is expected of a galaxy before anyone has voted: as of the others, or as a network says.

The shares of the volunteers who give each answer to a question are taken for Dirichlet-distributed. Without a
network the distribution is that of all galaxies. With one its mean follows the network's answers and its
strength how many volunteers these are worth; how far to follow them is learnt from the votes at hand, so that
a network that is no good here comes to weigh next to nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from scipy.special import gammaln, psi

from pipeline.confidence.concentration import conditional
from pipeline.tree import DecisionTree

_MOST_GALAXIES = 20_000
_FEWEST_GALAXIES = 20
_LEAST, _MOST = -7.0, 7.0
"""Bounds of the logarithm of a strength."""

_PENALTY = 1.0


@dataclass(frozen=True)
class NetworkAnswers:
    """A network's answers for some galaxies, by their codes.

    Attributes
    ----------
    galaxies : ndarray, shape (n,), int64
    answers : ndarray, shape (n, answers)
        Cumulative probabilities.
    volunteers : ndarray, shape (n, questions)
        How many volunteers each answer is worth; ones where the catalogue doesn't say.
    """

    galaxies: NDArray[np.int64]
    answers: NDArray[np.float64]
    volunteers: NDArray[np.float64]


def fit_prior(
    tree: DecisionTree, counts: ArrayLike, network: NetworkAnswers | None = None
) -> NDArray[np.float64]:
    """Parameters of each galaxy's Dirichlet distributions.

    Parameters
    ----------
    counts : array_like, shape (galaxies, answers)
        Votes for each answer, by whose likelihood (the Dirichlet–multinomial) the distributions are fitted.

    Returns
    -------
    ndarray, shape (galaxies, answers), float64
        Above 0; of one question they sum to how many votes the prior is worth.
    """
    votes = np.asarray(counts, np.float64)
    alpha = np.empty_like(votes)
    for number, where in enumerate(tree.slices.values()):
        wide = where.stop - where.start
        even = np.full((len(votes), wide), 1 / wide)
        alpha[:, where] = _fitted(votes[:, where], np.log(even), np.zeros(len(votes)))
        if network is not None and len(network.galaxies):
            shares = np.log(conditional(network.answers[:, where]))
            worth = np.log(network.volunteers[:, number])
            alpha[network.galaxies, where] = _fitted(votes[network.galaxies, where], shares, worth)
    return alpha


def _fitted(
    counts: NDArray[np.float64], log_shares: NDArray[np.float64], log_worth: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Parameters exp(c) · worth · (shares^g · b, normalised), with c, g and b fitted to the counts."""
    asked = np.flatnonzero(counts.sum(axis=1) > 0)
    if len(asked) < _FEWEST_GALAXIES:
        return _alpha(np.r_[0.0, 1.0, np.zeros(counts.shape[1])], log_shares, log_worth)[0]
    asked = asked[:: -(-len(asked) // _MOST_GALAXIES)]
    start = np.r_[0.0, 1.0, np.zeros(counts.shape[1])]
    best = minimize(
        _loss,
        start,
        (counts[asked], log_shares[asked], log_worth[asked]),
        jac=True,
        method="L-BFGS-B",
        bounds=[(_LEAST, _MOST), (0.0, 4.0), *[(-8.0, 8.0)] * counts.shape[1]],
        options={"maxiter": 200},
    ).x
    return _alpha(best, log_shares, log_worth)[0]


def _alpha(
    parameters: NDArray[np.float64], log_shares: NDArray[np.float64], log_worth: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Parameters of the distributions, and their means."""
    logits = parameters[1] * log_shares + parameters[2:]
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    means = weights / weights.sum(axis=1, keepdims=True)
    strength = np.exp((parameters[0] + log_worth).clip(_LEAST, _MOST))
    return np.maximum(strength[:, None] * means, 1e-4), means


def _loss(
    parameters: NDArray[np.float64],
    counts: NDArray[np.float64],
    log_shares: NDArray[np.float64],
    log_worth: NDArray[np.float64],
) -> tuple[float, NDArray[np.float64]]:
    alpha, means = _alpha(parameters, log_shares, log_worth)
    strength, total = alpha.sum(axis=1), counts.sum(axis=1)
    likelihood = (gammaln(strength) - gammaln(strength + total)).sum()
    likelihood += (gammaln(alpha + counts) - gammaln(alpha)).sum()
    slope = (psi(strength) - psi(strength + total))[:, None] + psi(alpha + counts) - psi(alpha)
    by_mean = slope * alpha
    excess = by_mean - means * by_mean.sum(axis=1, keepdims=True)
    gradient = -np.r_[by_mean.sum(), (excess * log_shares).sum(), excess.sum(axis=0)]
    off = parameters - np.r_[parameters[0], 1.0, np.zeros(len(parameters) - 2)]
    return float(-likelihood + _PENALTY * (off @ off)), gradient + 2 * _PENALTY * off
