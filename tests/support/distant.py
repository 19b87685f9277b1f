"""A simulated survey whose true shares are known: galaxies that are seen less well the farther they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from astropy.cosmology import FlatLambdaCDM

from pipeline.tree import DecisionTree
from pipeline.volunteers.debiasing import Galaxies

Law = Literal["blend", "odds"]

LIMIT, KNEE, SLOPE = 17.0, -20.44, -1.05
"""Apparent magnitude of the faintest galaxies; knee and slope of the luminosity function."""

NEAREST, FARTHEST, SEEN_WELL = 0.01, 0.15, 0.03
FADING = 0.12
PLAIN = {"smooth_or_featured": 0, "bar": 1, "has_spiral_arms": 1, "something_odd": 1}
"""Of each question that distance blurs, the answer of who sees no detail."""


@dataclass(frozen=True)
class Distant:
    """A survey.

    Attributes
    ----------
    galaxies
        Properties of the galaxies.
    truth, seen : ndarray, shape (n, answers)
        Shares, among those who are asked, of people who see the galaxy from near by, and as far as it is.
    counts : ndarray, shape (n, answers)
        Votes of people who see it as far as it is.
    """

    galaxies: Galaxies
    truth: np.ndarray
    seen: np.ndarray
    counts: np.ndarray


def survey(
    tree: DecisionTree, pool: np.ndarray, count: int, votes: int, law: Law, rng: np.random.Generator
) -> Distant:
    """Draw a survey.

    Magnitudes follow Schechter's function, redshifts the volume, out to an apparent magnitude. The truth is
    that of galaxies of a pool, large and bright ones being those with more features, whatever the redshift.
    Beyond `SEEN_WELL`, by the law ``blend``, a share of 1 - exp(-(z - z0) / `FADING`) of the people sees no
    detail and gives the plain answer; by ``odds`` the odds of all others against it fall tenfold in 0.15.

    Parameters
    ----------
    pool : ndarray, shape (m, answers)
        Shares among those who are asked.
    votes
        People who look at each galaxy.
    """
    galaxies = _galaxies(count, rng)
    rank = (
        -0.5 * (galaxies.magnitude + 20.5) + 3 * (np.log10(galaxies.size) - 0.5) + rng.normal(0, 1, count)
    ).argsort()
    place = np.empty(count, np.int64)
    place[rank] = np.arange(count) * len(pool) // count
    truth = pool[np.argsort(pool[:, 1], kind="stable")][place]
    seen = _blurred(tree, truth, galaxies.redshift, law)
    return Distant(galaxies, truth, seen, _counts(tree, seen, votes, rng))


def _galaxies(count: int, rng: np.random.Generator) -> Galaxies:
    cosmology = FlatLambdaCDM(H0=70, Om0=0.3)
    grid = np.linspace(NEAREST, FARTHEST, 300)
    modulus = cosmology.distmod(grid).value
    volume = cosmology.comoving_volume(grid).value
    magnitudes = np.linspace(-23.5, -16, 400)
    bright = 10 ** (-0.4 * (magnitudes - KNEE))
    # Of each redshift how many galaxies are bright enough; then of each galaxy how bright it is.
    density = bright ** (SLOPE + 1) * np.exp(-bright)
    summed = density.cumsum()
    seen = np.interp(LIMIT - modulus, magnitudes, summed) * np.gradient(volume, grid)
    z = np.interp(rng.random(count), seen.cumsum() / seen.sum(), grid)
    most = np.interp(LIMIT - np.interp(z, grid, modulus), magnitudes, summed)
    magnitude = np.interp(rng.random(count) * most, summed, magnitudes)
    size = 10 ** (0.5 - 0.1 * (magnitude + 20.5) + rng.normal(0, 0.15, count))
    return Galaxies(magnitude, size, z)


def _blurred(tree: DecisionTree, truth: np.ndarray, redshift: np.ndarray, law: Law) -> np.ndarray:
    seen, beyond = truth.copy(), (redshift - SEEN_WELL).clip(min=0)[:, None]
    for key, plain in PLAIN.items():
        where = tree.slices[key]
        answer = np.eye(where.stop - where.start)[plain]
        if law == "blend":
            clear = np.exp(-beyond / FADING)
            seen[:, where] = clear * truth[:, where] + (1 - clear) * answer
        else:
            changed = truth[:, where] * 10 ** (-beyond / 0.15 * (1 - answer))
            seen[:, where] = changed / changed.sum(axis=1, keepdims=True)
    return seen


def _counts(tree: DecisionTree, shares: np.ndarray, votes: int, rng: np.random.Generator) -> np.ndarray:
    counts = np.zeros(shares.shape)
    for key in tree.in_order():
        where, gate = tree.slices[key], tree.gates.get(key)
        asked = np.full(len(shares), votes) if gate is None else counts[:, list(gate)].sum(axis=1)
        part = shares[:, where].clip(min=0)
        counts[:, where] = rng.multinomial(asked.astype(np.int64), part / part.sum(axis=1, keepdims=True))
    return counts
