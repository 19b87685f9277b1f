"""Galaxies that a cutout set names more than once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


def duplicate_rows(ids: Sequence[pa.ChunkedArray]) -> list[tuple[int, ...]]:
    """Find rows whose object_id stands in an earlier row.

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
    lengths = [len(column) for column in ids]
    together = pa.chunked_array([chunk for column in ids for chunk in column.chunks], pa.string())
    repeated = together.to_pandas().duplicated(keep="first").to_numpy()
    named = pc.fill_null(pc.not_equal(together, ""), False).to_numpy()
    starts = np.cumsum([0, *lengths[:-1]])
    rows = np.flatnonzero(repeated & named)
    owner = np.searchsorted(starts, rows, side="right") - 1
    return [tuple((rows[owner == shard] - start).tolist()) for shard, start in enumerate(starts)]
