"""The galaxies with the largest values, of any number of galaxies, in bounded memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Objects = NDArray[np.object_]


@dataclass(frozen=True)
class Ranking:
    """For each of some quantities, such as activations, the galaxies with its largest values.

    They stand in falling order, those of equal values in that of their object_ids. A ranking holds at most
    `size` galaxies a quantity.

    Merging is associative and commutative, so that rankings of parts give the same in whatever order they
    come.

    Attributes
    ----------
    values : ndarray, shape (quantities, size), float64
        The galaxies' values, largest first; −∞ in places that no galaxy fills.
    ids, shards : ndarray, shape (quantities, size), object
        Each galaxy's object_id, and the shard that it is in; empty in places that no galaxy fills.
    rows : ndarray, shape (quantities, size), int64
        Each galaxy's row in its shard; −1 in places that no galaxy fills.
    """

    values: NDArray[np.float64]
    ids: Objects
    shards: Objects
    rows: NDArray[np.int64]

    def merged(self, other: Ranking) -> Ranking:
        """The ranking over the galaxies of two rankings together; no galaxy may be in both."""
        size = self.values.shape[1]
        # Of millions, few pass what stands already: only their quantities are sorted again.
        moved = np.flatnonzero((other.values[:, 0] >= self.values[:, -1]) & np.isfinite(other.values[:, 0]))
        if not len(moved):
            return self
        both = _joined(self[moved], other[moved])
        best = _best(both, size)
        updated = replace(self, **{name: getattr(self, name).copy() for name in _PARTS})
        for name in _PARTS:
            getattr(updated, name)[moved] = getattr(best, name)
        return updated

    def __getitem__(self, quantities: NDArray[np.int64]) -> Ranking:
        """The same ranking of only some of its quantities, by their indices."""
        return Ranking(*(getattr(self, name)[quantities] for name in _PARTS))

    def first(self, quantity: int, count: int) -> list[RankedGalaxy]:
        """The galaxies with the largest values of a quantity, at most `count` of them, largest first."""
        finite = np.isfinite(self.values[quantity])
        return [
            RankedGalaxy(str(name), str(shard), int(row), float(value))
            for value, name, shard, row in zip(
                *(getattr(self, part)[quantity][finite][:count] for part in _PARTS), strict=True
            )
        ]


_PARTS = ("values", "ids", "shards", "rows")


@dataclass(frozen=True)
class RankedGalaxy:
    """A galaxy in a ranking: its id, the shard and row where it is, and its value."""

    object_id: str
    shard: str
    row: int
    value: float


def no_ranking(quantities: int, size: int) -> Ranking:
    """A ranking that holds no galaxy yet, with places for `size` of each quantity."""
    shape = (quantities, size)
    blank = np.full(shape, "", object)
    return Ranking(np.full(shape, -np.inf), blank, blank.copy(), np.full(shape, -1))


def rank(values: NDArray[Any], ids: Sequence[str], shard: str, rows: NDArray[np.int64], size: int) -> Ranking:
    """Rank galaxies of one shard by each of some quantities, and keep the first `size` of each.

    Parameters
    ----------
    values : ndarray, shape (n, quantities)
        One value a galaxy and quantity; one that isn't finite doesn't count.
    ids, rows
        Each galaxy's object_id, and its row in the shard.
    """
    if not len(values):
        return no_ranking(values.shape[1], size)
    by_id = np.argsort(np.array(ids, object), kind="stable")
    across = np.ascontiguousarray(np.where(np.isfinite(values), values, -np.inf)[by_id].T, np.float64)
    order = np.argsort(-across, axis=1, kind="stable")[:, :size]
    best, chosen = np.take_along_axis(across, order, axis=1), by_id[order]
    empty = no_ranking(values.shape[1], size)
    filled = best > -np.inf
    count = best.shape[1]
    empty.values[:, :count] = best
    empty.ids[:, :count] = np.where(filled, np.array(ids, object)[chosen], "")
    empty.shards[:, :count] = np.where(filled, shard, "")
    empty.rows[:, :count] = np.where(filled, rows[chosen], -1)
    return empty


def _joined(one: Ranking, other: Ranking) -> Ranking:
    return Ranking(*(np.concatenate([getattr(one, n), getattr(other, n)], axis=1) for n in _PARTS))


def _best(ranking: Ranking, size: int) -> Ranking:
    by_id = np.unique(ranking.ids, return_inverse=True)[1].reshape(ranking.ids.shape)
    order = np.lexsort((by_id, -ranking.values), axis=1)[:, :size]
    return Ranking(*(np.take_along_axis(getattr(ranking, name), order, axis=1) for name in _PARTS))


@dataclass(frozen=True)
class Moments:
    """Moments of some quantities over galaxies: their count, means and sums of squared deviations.

    `mean` and `squares` have the shape (quantities,). Moments of two parts can be merged without the values.
    """

    count: int
    mean: NDArray[np.float64]
    squares: NDArray[np.float64]

    @property
    def variance(self) -> NDArray[np.float64]:
        """The variance of each quantity, that of a population: over the count, not the count less one."""
        return self.squares / max(self.count, 1)

    def merged(self, other: Moments) -> Moments:
        """The moments over the values of two parts together.

        References
        ----------
        Chan, Golub & LeVeque 1983, Algorithms for computing the sample variance.
        """
        count = self.count + other.count
        if not count:
            return self
        apart = other.mean - self.mean
        return Moments(
            count,
            self.mean + apart * other.count / count,
            self.squares + other.squares + apart**2 * self.count * other.count / count,
        )


def moments(values: NDArray[Any]) -> Moments:
    """The moments of values of the shape (n, quantities), over their n rows."""
    own = np.asarray(values, np.float64)
    if not len(own):
        return Moments(0, np.zeros(own.shape[1]), np.zeros(own.shape[1]))
    mean = own.mean(axis=0)
    return Moments(len(own), mean, np.square(own - mean).sum(axis=0))
