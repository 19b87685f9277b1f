"""Galaxy Zoo 2's correction: ratios of shares, as they are for near galaxies of the same brightness and size.

Galaxies are binned by magnitude, size and redshift. In each bin log10 of each answer's mean share is compared
with the *baseline*, what it would be of galaxies of this magnitude and size that are near; shares are
multiplied by 10^C, where C is the difference, and divided by their sum:

    p_i = 1 / (1 + Σ_j K_ji f_j / f_i),    K_ji = 10^(C_j - C_i).

It differs from the paper in three things. The baseline is a smooth surface through all bins, over magnitude,
size and redshift, taken at a low redshift; the paper's goes through the nearest bin of each magnitude and
size, and the nearest bin of the brightest galaxies, which are rare, is far. It is the same surface for all
answers of a question, flat or of second order, whichever foretells left-out bins better, so that
K_ki = K_kj · K_ji and corrected shares sum to 1; the paper fits each pair of answers by itself, and the
shares of its table don't. And C is mended until the mean of the corrected shares is the baseline: a share
near 0 or 1 hardly moves, so that the ratio of the means corrects too little.

References
----------
Willett et al. 2013, MNRAS 435, 2835 (arXiv:1308.3496), section 3.3. Bamford et al. 2009, MNRAS 393, 1324.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.volunteers.debiasing.galaxies import Galaxies
from pipeline.volunteers.debiasing.learning import LOW_REDSHIFT

LEAST_GALAXIES = 20
"""A bin of fewer galaxies corrects nothing, and the baseline doesn't go through it."""

LEAST_BINS, LEAST_REDSHIFTS = 8, 2

ROUNDS = 30

_LEAST_SHARE = 1e-3
_MOST = 2.0
_IN_FULL_BINS = 0.8
_ORDERS = (4, 10)


@dataclass(frozen=True)
class Widths:
    """Of bins: in magnitudes, kpc and redshift; these are the paper's."""

    magnitude: float = 0.25
    size: float = 0.5
    redshift: float = 0.01


@dataclass(frozen=True)
class Ratios:
    """Corrections of one question.

    Attributes
    ----------
    places : ndarray, shape (bins, 3)
        The bins, sorted.
    corrections : ndarray, shape (bins, answers)
        C of each bin.
    """

    widths: Widths
    places: NDArray[np.int64]
    corrections: NDArray[np.float64]

    def apply(
        self, shares: NDArray[np.float64], galaxies: Galaxies
    ) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
        """Multiply by what the bin says; see `pipeline.volunteers.debiasing.learning.Correction`."""
        row = _rows_of(self.places, _places(galaxies, self.widths))
        done = row >= 0
        factors = np.where(done[:, None], 10 ** self.corrections[row], 1.0)
        changed = shares * factors
        return changed / changed.sum(axis=1, keepdims=True), done


def fit_ratios(
    shares: NDArray[np.float64],
    galaxies: Galaxies,
    widths: Widths | None = None,
    redshift: float = LOW_REDSHIFT,
    rounds: int = ROUNDS,
) -> Ratios | None:
    """Learn the corrections of one question.

    Parameters
    ----------
    shares : ndarray, shape (n, answers)
        They sum to 1.
    widths
        Of the bins; if None, as wide as the number of galaxies demands.
    redshift
        Of the baseline; that of the nearest bin, if it's farther.
    rounds
        How often C is mended; 1 is the paper's.
    """
    widths = widths or _wide_enough(galaxies)
    places = _places(galaxies, widths)
    unique, counts = _full_bins(places)
    if len(unique) < LEAST_BINS or len(np.unique(unique[:, 2])) < LEAST_REDSHIFTS:
        return None
    row = _rows_of(unique, places)
    shares, row = shares[row >= 0], row[row >= 0]
    logs = _mean_logs(shares, row, counts)
    centres = (unique + 0.5) * [widths.magnitude, widths.size, widths.redshift]
    baseline = _baseline(centres, logs, counts, redshift)
    baseline -= np.log10((10**baseline).sum(axis=1, keepdims=True))
    corrections = baseline - logs
    for _ in range(rounds - 1):
        changed = shares * 10 ** corrections[row]
        changed /= changed.sum(axis=1, keepdims=True)
        corrections = (corrections + baseline - _mean_logs(changed, row, counts)).clip(-_MOST, _MOST)
    return Ratios(widths, unique, corrections)


def _full_bins(places: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Bins of enough galaxies, and of how many."""
    unique, counts = np.unique(places, axis=0, return_counts=True)
    full = counts >= LEAST_GALAXIES
    return unique[full], counts[full]


def _wide_enough(galaxies: Galaxies) -> Widths:
    """The paper's widths, of magnitude and size doubled, thrice at most, until most galaxies count."""
    widths = Widths()
    for _ in range(3):
        if _full_bins(_places(galaxies, widths))[1].sum() >= _IN_FULL_BINS * len(galaxies):
            break
        widths = Widths(2 * widths.magnitude, 2 * widths.size, widths.redshift)
    return widths


def _mean_logs(
    shares: NDArray[np.float64], row: NDArray[np.int64], counts: NDArray[np.int64]
) -> NDArray[np.float64]:
    """log10 of the mean share in each bin, shape (bins, answers)."""
    sums = np.stack([np.bincount(row, one, len(counts)) for one in shares.T], axis=1)
    return np.asarray(np.log10((sums / counts[:, None]).clip(min=_LEAST_SHARE)))


def _baseline(
    centres: NDArray[np.float64], logs: NDArray[np.float64], counts: NDArray[np.int64], redshift: float
) -> NDArray[np.float64]:
    """What the surface through all bins says of each bin's magnitude and size at a low redshift."""
    near = centres.copy()
    near[:, 2] = max(redshift, centres[:, 2].min())
    near[:, 2] = np.minimum(near[:, 2], centres[:, 2])
    mean, spread = centres.mean(axis=0), centres.std(axis=0).clip(min=1e-9)
    here, there = (_terms((one - mean) / spread) for one in (centres, near))
    weights = np.sqrt(counts)[:, None]
    best, least = logs, np.inf
    for size in _ORDERS:
        if len(logs) < 2 * size:
            break
        design = here[:, :size] * weights
        inverse = np.linalg.pinv(design)
        coefficients = inverse @ (logs * weights)
        leverage = np.einsum("ij,ji->i", design, inverse)[:, None].clip(max=1 - 1e-6)
        off = logs - here[:, :size] @ coefficients
        left_out = float(((weights * off / (1 - leverage)) ** 2).sum())
        if left_out < least:
            best, least = there[:, :size] @ coefficients, left_out
    return best


def _terms(standard: NDArray[np.float64]) -> NDArray[np.float64]:
    x, y, z = standard.T
    one = np.ones_like(x)
    return np.stack([one, x, y, z, x * x, y * y, z * z, x * y, x * z, y * z], axis=1)


def _places(galaxies: Galaxies, widths: Widths) -> NDArray[np.int64]:
    """Bins of galaxies, shape (n, 3)."""
    values = np.stack(
        [
            galaxies.magnitude / widths.magnitude,
            galaxies.size / widths.size,
            galaxies.redshift / widths.redshift,
        ],
        axis=1,
    )
    places: NDArray[np.int64] = np.floor(values.clip(-1e6, 1e6)).astype(np.int64)
    return places


def _rows_of(table: NDArray[np.int64], places: NDArray[np.int64]) -> NDArray[np.int64]:
    """In which row of a sorted table each place stands; -1 for none."""
    low = table.min(axis=0)
    spans = table.max(axis=0) - low + 1
    inside = ((places >= low) & (places < low + spans)).all(axis=1)
    steps = np.array([spans[1] * spans[2], spans[2], 1])
    keys, wanted = (table - low) @ steps, ((places - low) @ steps)
    rows = np.searchsorted(keys, wanted).clip(max=len(keys) - 1)
    return np.asarray(np.where(inside & (keys[rows] == wanted), rows, -1))
