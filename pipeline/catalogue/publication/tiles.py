"""Which tile of a progressive catalogue each galaxy is in: the best in large tiles, the rest in smaller ones.

A tile takes the best of those galaxies within it that no larger tile has, up to a number. Each galaxy is in
one tile. (IVOA recommendation HiPS 1.0, section 4.2.2: catalogue tiles.)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FIRST_ORDER = 1
"""Viewers of catalogues begin with it; there is no tile of order 0."""

ALLSKY_ORDERS = (1, 2)
"""Orders whose tiles viewers read all at once."""

_DEEPEST_ORDER = 13  # of 26 arcsec: its tiles take all that is left
_PLACE_ORDER = 29
_ALLSKY_TILE_ROWS = 64
_TILE_ROWS = 500
_CHUNK = 1 << 22


@dataclass(frozen=True)
class Tile:
    """A tile of a progressive catalogue.

    Attributes
    ----------
    order, pixel
        Nested HEALPix pixel.
    rows
        Galaxies in it.
    shown
        Galaxies in it and, of those within it, in larger tiles.
    within
        Galaxies within it, whichever tile has them.
    digest
        Sum of the digests of its rows.
    """

    order: int
    pixel: int
    rows: int
    shown: int
    within: int
    digest: int

    @property
    def name(self) -> str:
        """Its file, from the folder of the progressive catalogue."""
        return f"Norder{self.order}/Dir{self.pixel // 10_000 * 10_000}/Npix{self.pixel}.tsv"

    @property
    def number(self) -> int:
        """A number that no other tile has (NUNIQ)."""
        return (4 << 2 * self.order) + self.pixel


def assign_tiles(
    places: NDArray[np.int64],
    ranks: NDArray[np.float32],
    digests: NDArray[np.uint64],
    orders: NDArray[np.uint8],
) -> list[Tile]:
    """Put each galaxy into a tile; memory doesn't grow with them if the arrays are of files on disk.

    Parameters
    ----------
    places : ndarray, shape (n,), int64
        Nested HEALPix pixels of order 29, ascending.
    ranks : ndarray, shape (n,), float32
        How good each is: the larger come first, NaN last, and of equals the first.
    digests : ndarray, shape (n,), uint64
        Of their rows.
    orders : ndarray, shape (n,), uint8
        Zeros, in whose place each gets the order of its tile.

    Returns
    -------
    list of Tile
        The larger before those within it.
    """
    tiles: list[Tile] = []
    ahead = [(FIRST_ORDER, pixel) for pixel in reversed(range(12 * 4**FIRST_ORDER))]
    while ahead:
        order, pixel = ahead.pop()
        shift = 2 * (_PLACE_ORDER - order)
        start, stop = (int(i) for i in np.searchsorted(places, [pixel << shift, (pixel + 1) << shift]))
        waiting = sum(int((part == 0).sum()) for _, part in _chunks(orders, start, stop))
        if not waiting:
            continue
        limit = _ALLSKY_TILE_ROWS if order in ALLSKY_ORDERS else _TILE_ROWS
        taken = _best(ranks, orders, start, stop, limit if order < _DEEPEST_ORDER else waiting)
        orders[taken] = order
        total = int(np.add.reduce(digests[taken], dtype=np.uint64))
        left = waiting - len(taken)
        tiles.append(Tile(order, pixel, len(taken), stop - start - left, stop - start, total))
        if left:
            ahead += [(order + 1, 4 * pixel + child) for child in (3, 2, 1, 0)]
    return tiles


def numbers_of(places: NDArray[np.int64], orders: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Which tile each galaxy is in; see `Tile.number`."""
    order = orders.astype(np.int64)
    numbers: NDArray[np.int64] = 4 * 4**order + (places >> 2 * (_PLACE_ORDER - order))
    return numbers


def best_first(ranks: NDArray[np.float32]) -> NDArray[np.int64]:
    """The order in which galaxies are shown; of equals the first comes first."""
    return np.argsort(-_comparable(ranks), kind="stable")


def _best(
    ranks: NDArray[np.float32], orders: NDArray[np.uint8], start: int, stop: int, limit: int
) -> NDArray[np.int64]:
    """Of the galaxies that are in no tile yet the best."""
    best = np.zeros(0, np.int64)
    for first, part in _chunks(orders, start, stop):
        candidates = np.concatenate([best, first + np.flatnonzero(part == 0)])
        best = np.sort(candidates[best_first(ranks[candidates])[:limit]])
    return best


def _comparable(ranks: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.where(np.isnan(ranks), -np.inf, ranks).astype(np.float32)


def _chunks(orders: NDArray[np.uint8], start: int, stop: int) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    for first in range(start, stop, _CHUNK):
        yield first, orders[first : min(first + _CHUNK, stop)]
