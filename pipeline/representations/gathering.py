"""Some galaxies out of a catalogue's embeddings: by their ids, at random, or those of highest value."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.catalogue.embedding import EMBEDDING, STEP, to_binary, to_vectors
from pipeline.representations.reading import EmbeddingBatch, Embeddings

Values = Callable[[NDArray[np.int8]], NDArray[np.floating]]
"""Gives each of n vectors (n, 64) a value."""


def decoded(vectors: NDArray[np.int8]) -> NDArray[np.float32]:
    """Embeddings as numbers of about one scale."""
    return np.multiply(vectors, np.float32(STEP), dtype=np.float32)


def vectors_of(table: pa.Table) -> NDArray[np.int8]:
    """The vectors of a table that functions of this module give."""
    return to_vectors(table[EMBEDDING].combine_chunks())


def gather(embeddings: Embeddings, ids: Collection[str]) -> pa.Table:
    """The galaxies of some ids, in the catalogue's order, as far as it has them; one pass.

    Returns
    -------
    pyarrow.Table
        Columns ``object_id, ra, dec, input, embedding``.
    """
    wanted = pa.array(sorted(ids), pa.string())
    parts = (
        _with_vectors(batch).filter(pc.is_in(batch.rows["object_id"], wanted))
        for batch in embeddings.batches(["input"])
    )
    return _joined(parts)


def sample(
    embeddings: Embeddings, count: int, seed: int = 0, columns: Sequence[str] = ("input",)
) -> pa.Table:
    """So many galaxies drawn at random, in random order, or all where there are fewer; one pass.

    Returns
    -------
    pyarrow.Table
        ``object_id, ra, dec``, the columns that were asked for, and ``embedding``.
    """
    rng = np.random.default_rng(seed)
    drawn = Best(count)
    for batch in embeddings.batches(columns):
        drawn.add(batch, rng.random(len(batch)))
    return drawn.table.drop_columns(["value"])


class Best:
    """The galaxies with the highest values among all that were added.

    Parameters
    ----------
    size
        Most that are kept.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._kept: pa.Table | None = None
        self._least = -np.inf

    def add(self, batch: EmbeddingBatch, values: NDArray[np.floating]) -> None:
        """Look at some galaxies and the value of each; those without one (NaN) are passed over."""
        rows = np.flatnonzero(values > self._least)
        if not len(rows) and self._kept is not None:
            return
        if len(rows) > self._size:
            rows = rows[np.argpartition(-values[rows], self._size - 1)[: self._size]]
        found = _with_vectors(batch).take(pa.array(rows))
        found = found.append_column("value", pa.array(np.asarray(values, np.float64)[rows]))
        both = pa.Table.from_batches([found])
        if self._kept is not None:
            both = pa.concat_tables([self._kept, both])
        self._kept = both.sort_by([("value", "descending"), ("object_id", "ascending")])[: self._size]
        if len(self._kept) == self._size:
            self._least = self._kept["value"][-1].as_py()

    @property
    def table(self) -> pa.Table:
        """Those with the highest values first: the columns of their rows, ``embedding`` and ``value``."""
        if self._kept is None:
            raise ValueError("no galaxies were added")
        return self._kept.combine_chunks()


def diverse(vectors: NDArray[np.int8], count: int) -> NDArray[np.int64]:
    """Rows that differ: the first, then again and again the one that is least like all that were chosen.

    Likeness is the cosine (Gonzalez 1985, farthest-first traversal).
    """
    values = decoded(vectors)
    units = values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-6)
    chosen: list[int] = []
    nearest = np.full(len(units), -np.inf, np.float32)
    for _ in range(min(count, len(units))):
        row = int(np.argmin(nearest)) if chosen else 0
        chosen.append(row)
        nearest = np.maximum(nearest, units @ units[row])
        nearest[chosen] = np.inf
    return np.array(chosen, np.int64)


def _with_vectors(batch: EmbeddingBatch) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(
        [*batch.rows.columns, to_binary(batch.vectors)], [*batch.rows.schema.names, EMBEDDING]
    )


def _joined(parts: Iterable[pa.RecordBatch] | Iterator[pa.RecordBatch]) -> pa.Table:
    names = ("object_id", "ra", "dec", "input")
    types = (pa.string(), pa.float64(), pa.float64(), pa.string())
    empty = pa.schema([*map(pa.field, names, types), pa.field(EMBEDDING, pa.binary())]).empty_table()
    tables = [pa.Table.from_batches([part]).cast(empty.schema) for part in parts if len(part)]
    return pa.concat_tables([empty, *tables]).combine_chunks()
