"""A map of galaxies: their embeddings laid out in a plane, look-alikes side by side."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import InputError
from pipeline.representations.gathering import decoded

FEWEST = 50
"""Galaxies below which there is no map."""

_FINEST = 16
"""Halvings of a map's side beyond which no cell is split."""


def check_library() -> None:
    """Make sure that PaCMAP is there.

    Raises
    ------
    InputError
        If it isn't.
    """
    _pacmap()


def lay_out(vectors: NDArray[np.int8], seed: int = 0) -> NDArray[np.float32]:
    """Places of galaxies in a plane, such that the neighbours of each by cosine are near it.

    Parameters
    ----------
    vectors : ndarray, shape (n, 64), int8
        At least `FEWEST`.

    Returns
    -------
    ndarray, shape (n, 2), float32
        Within the unit square, the larger extent filling it. The same for the same vectors, seed and
        versions of the libraries, with any number of threads.

    Raises
    ------
    InputError
        If PaCMAP isn't there, or the vectors are all the same.

    References
    ----------
    Wang, Huang, Rudin & Shaposhnik 2021, Understanding how dimension reduction tools work.
    """
    values = decoded(vectors)
    # Between unit vectors the nearest by distance are the nearest by cosine.
    units = values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-6)
    if not np.ptp(units, axis=0).any():
        raise InputError(f"all {len(units):,} galaxies have the same embedding; there is nothing to map")
    layout = _pacmap().PaCMAP(n_components=2, knn_backend="faiss", random_state=seed)
    return _in_unit_square(np.asarray(layout.fit_transform(units, init="pca"), np.float64))


def spread_out(places: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Rows that lie evenly over a map, and so do the first of them, however many.

    Of each cell of ever finer grids that has none yet, one is taken: the first in the order of rows.

    Parameters
    ----------
    places : ndarray, shape (n, 2)
        Within the unit square.
    count
        Most that are wanted.
    """
    chosen = np.zeros(0, np.int64)
    free = np.ones(len(places), bool)
    for halvings in range(1, _FINEST + 1):
        side = 1 << halvings
        column, row = np.minimum(places * side, side - 1).astype(np.int64).T
        cells = column * side + row
        open_rows = np.flatnonzero(free & ~np.isin(cells, cells[~free]))
        new = np.sort(open_rows[np.unique(cells[open_rows], return_index=True)[1]])
        chosen = np.concatenate([chosen, new])
        free[new] = False
        if len(chosen) >= count:
            break
    return np.concatenate([chosen, np.flatnonzero(free)])[:count]


def _in_unit_square(places: NDArray[np.float64]) -> NDArray[np.float32]:
    low, high = places.min(axis=0), places.max(axis=0)
    scaled = 0.5 + (places - (low + high) / 2) / max(float((high - low).max()), 1e-12)
    return np.asarray(np.clip(scaled, 0, 1), np.float32)


def _pacmap() -> Any:
    try:
        import numba
        import pacmap
    except ImportError as error:
        raise InputError("a map needs the package pacmap: pip install 'tuningfork[map]'") from error
    logging.getLogger("pacmap").setLevel(logging.ERROR)  # it warns of every seed
    numba.set_num_threads(1)  # what takes its time is serial; a second thread waits for the first
    return pacmap
