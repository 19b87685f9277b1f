"""Galaxies that a cutout set names more than once."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

_KEYS = ("object_id half 1", "object_id half 2")
"""Keys of SipHash, 16 characters each; two halves make 128 bits, which no two ids of a survey share."""


def duplicate_rows(ids: Iterable[pa.ChunkedArray]) -> list[tuple[int, ...]]:
    """Find rows whose object_id stands in an earlier row; 16 bytes of each id are kept, not the id.

    Parameters
    ----------
    ids
        The object_id column of each shard, in order.

    Returns
    -------
    list of tuple of int
        For each shard, its rows that repeat an earlier one of this shard or of a shard before it. Empty and
        null ids are nobody's repetition.
    """
    import pandas as pd  # loads slowly, and a process that only reads files does without

    hashes = [_hashes(column) for column in ids]
    starts = np.cumsum([0, *(half.shape[1] for half in hashes)])
    first, second = np.concatenate([np.zeros((2, 0), np.uint64), *hashes], axis=1)
    del hashes
    # Few rows share even their first half, so that both halves are compared for few.
    named = np.flatnonzero((first != 0) | (second != 0))
    alike = named[pd.Series(first[named]).duplicated(keep=False).to_numpy()]
    repeated = pd.DataFrame({"first": first[alike], "second": second[alike]}).duplicated(keep="first")
    rows = alike[repeated.to_numpy()]
    ends = np.searchsorted(rows, starts)
    return [
        tuple((rows[begin:end] - start).tolist())
        for start, begin, end in zip(starts, ends, ends[1:], strict=False)
    ]


def _hashes(ids: pa.ChunkedArray) -> NDArray[np.uint64]:
    """Hashes of n ids, of shape (2, n); zero for those that are empty or null."""
    import pandas as pd

    texts = pc.fill_null(ids, "").to_numpy()
    halves = np.array([pd.util.hash_array(texts, hash_key=key, categorize=False) for key in _KEYS], np.uint64)
    return np.where(texts == "", np.uint64(0), halves)
