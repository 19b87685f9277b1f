"""The vectors that point most in a direction: exact, in blocks that a bound mostly passes over.

The cosine of a unit vector v with a wanted direction w is at most w₁·v₁ + |w₂||v₂|, if 1 are the leading
numbers and 2 all others (Cauchy and Schwarz). An embedding's numbers fall off in variance, so a few leading
ones and the length of the rest, which is one more number, leave few vectors whose 64 numbers must be read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.catalogue.embedding import STEP

Vectors = NDArray[np.int8]

LEADING = 12
"""Numbers of each vector that the bound reads; they hold about three quarters of its length squared."""

BLOCK_ROWS = 32_768
"""Vectors of a block; its leading numbers fit into a core's cache."""

_SLACK = 1e-5
"""What rounding may take from a bound, at most."""

_DIGITS = 9
"""Cosines that are the same to so many digits are a tie, in which the earlier row comes first."""


def direction(like: Vectors, unlike: Vectors | None = None) -> NDArray[np.float64]:
    """The direction by which several examples are searched at once, shape (64,).

    A vector's cosine with it is the mean of its cosines with `like`, less the mean of those with `unlike`.

    Parameters
    ----------
    like, unlike : ndarray, shape (n, 64), int8
        Vectors of galaxies to be near to, and to be far from.
    """
    wanted: NDArray[np.float64] = _units(like).mean(axis=0)
    return wanted if unlike is None or not len(unlike) else wanted - _units(unlike).mean(axis=0)


def cosines(vectors: Vectors, wanted: NDArray[np.float64]) -> NDArray[np.float64]:
    """The cosine of each vector, shape (n, 64), with a direction of `direction`; 0 for a vector of zeros."""
    decoded = vectors.astype(np.float64)
    lengths = np.maximum(np.sqrt(np.einsum("ij,ij->i", decoded, decoded)), 1.0)
    scores: NDArray[np.float64] = np.round((decoded @ wanted) / lengths, _DIGITS)
    return scores


def along(vectors: Vectors, wanted: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far each vector, shape (n, 64), lies in a direction of `direction`, in the embedding's units.

    Unlike the cosine it counts how far a vector lies from the middle of all, too.
    """
    unit = wanted / max(float(np.linalg.norm(wanted)), 1e-9)
    scores: NDArray[np.float64] = np.round(vectors.astype(np.float64) @ unit * STEP, _DIGITS)
    return scores


@dataclass(frozen=True)
class Nearest:
    """The best of all that was offered, the best first.

    Attributes
    ----------
    rows : ndarray, int64
        Their numbers, in the order in which all came.
    cosines : ndarray, float64
        With the direction that was searched for.
    """

    rows: NDArray[np.int64]
    cosines: NDArray[np.float64]

    def with_more(self, rows: NDArray[np.int64], scores: NDArray[np.float64], count: int) -> Nearest:
        """The best `count` of these and some more."""
        every, all_scores = np.concatenate([self.rows, rows]), np.concatenate([self.cosines, scores])
        order = np.lexsort([every, -all_scores])[:count]
        return Nearest(every[order], all_scores[order])


NOTHING = Nearest(np.zeros(0, np.int64), np.zeros(0))


@dataclass(frozen=True)
class _Block:
    """Some vectors, and of each the leading numbers of its unit vector and the length of the rest."""

    vectors: Vectors
    leading: NDArray[np.float32]


class Scan:
    """Vectors in memory, to be searched again and again; 116 bytes each.

    Parameters
    ----------
    batches
        The vectors, each batch of shape (n, 64).

    Examples
    --------
    >>> vectors = np.random.default_rng(0).integers(-90, 90, (1000, 64)).astype(np.int8)
    >>> Scan([vectors]).nearest(direction(vectors[5:6]), 3).rows[0]
    np.int64(5)
    """

    def __init__(self, batches: Iterable[Vectors]) -> None:
        self._blocks = [_Block(vectors, _leading(vectors)) for vectors in _in_blocks(batches)]

    def __len__(self) -> int:
        return sum(len(block.vectors) for block in self._blocks)

    def nearest(
        self, wanted: NDArray[np.float64], count: int, among: NDArray[np.bool_] | None = None
    ) -> Nearest:
        """The `count` vectors whose cosines with a direction are the largest.

        Parameters
        ----------
        wanted : ndarray, shape (64,)
            See `direction`.
        among : ndarray, shape (len(self),), bool
            Which vectors count; all if not given.
        """
        rest = np.linalg.norm(wanted[LEADING:])
        leading = np.append(wanted[:LEADING], rest).astype(np.float32)
        best, start = NOTHING, 0
        for block in self._blocks:
            bounds = leading @ block.leading
            if among is not None:
                bounds[~among[start : start + len(bounds)]] = -np.inf
            if len(best.rows) < count < len(bounds):  # the most promising ones spare most of the first block
                first = np.argpartition(-bounds, count - 1)[:count]
                least = cosines(block.vectors[first], wanted).min() - _SLACK
            else:
                least = best.cosines[-1] - _SLACK if len(best.rows) == count else -np.inf
            rows = np.flatnonzero(np.isfinite(bounds) & (bounds >= least))
            if len(rows):
                best = best.with_more(start + rows, cosines(block.vectors[rows], wanted), count)
            start += len(block.vectors)
        return best


def _units(vectors: Vectors) -> NDArray[np.float64]:
    decoded = vectors.astype(np.float64)
    units: NDArray[np.float64] = decoded / np.maximum(np.linalg.norm(decoded, axis=1, keepdims=True), 1.0)
    return units


def _leading(vectors: Vectors) -> NDArray[np.float32]:
    """What the bound reads of a block, shape (LEADING + 1, n): number by number, which multiplies fastest."""
    units = _units(vectors).T
    rest = np.linalg.norm(units[LEADING:], axis=0)
    return np.concatenate([units[:LEADING], rest[None]]).astype(np.float32)


def _in_blocks(batches: Iterable[Vectors]) -> Iterator[Vectors]:
    """The same vectors, `BLOCK_ROWS` at a time, in memory of their own."""
    waiting: list[Vectors] = []
    for batch in batches:
        while len(batch):
            room = BLOCK_ROWS - sum(map(len, waiting))
            waiting.append(batch[:room])
            batch = batch[room:]
            if sum(map(len, waiting)) == BLOCK_ROWS:
                yield np.concatenate(waiting)
                waiting = []
    if waiting:
        yield np.concatenate(waiting)
