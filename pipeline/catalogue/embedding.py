"""The catalogue's column of embeddings: one vector a galaxy, as plain binary that every reader knows."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.errors import InputError

EMBEDDING = "embedding"
"""Name of the column."""

NUMBERS = 64
"""Numbers of an embedding, each an int8."""

STEP = 1 / 32
"""What 1 in an int8 stands for: the numbers lie about zero, and within ±4 but for the rarest of galaxies."""

VECTOR = pa.list_(pa.int8(), NUMBERS)
"""Type of the column in exports to forms that know vectors."""

_PROJECTION = b"projection"
"""Key of the column's metadata that says by which projection its vectors were made."""


def with_projection(schema: pa.Schema, sha256: str) -> pa.Schema:
    """Columns of a catalogue of which the embeddings' says by which projection they were made."""
    place = schema.get_field_index(EMBEDDING)
    field = schema.field(place)
    return schema.set(place, field.with_metadata((field.metadata or {}) | {_PROJECTION: sha256.encode()}))


def projection_of(schema: pa.Schema) -> str:
    """sha256 of the projection by which a catalogue's embeddings were made; empty if it doesn't say."""
    return str((schema.field(EMBEDDING).metadata or {}).get(_PROJECTION, b"").decode())


def to_binary(vectors: NDArray[np.int8]) -> pa.BinaryArray:
    """Vectors (n, 64) as a column of the catalogue."""
    offsets = np.arange(0, vectors.size + 1, NUMBERS, dtype=np.int32)
    data = pa.py_buffer(np.ascontiguousarray(vectors))
    return pa.Array.from_buffers(pa.binary(), len(vectors), [None, pa.py_buffer(offsets), data])


def to_vectors(column: pa.BinaryArray) -> NDArray[np.int8]:
    """A column of the catalogue as vectors (n, 64), which share its memory.

    Raises
    ------
    InputError
        If a row has none, or one of another length.
    """
    if not len(column):
        return np.zeros((0, NUMBERS), np.int8)
    _, offsets, data = column.buffers()
    edges = np.frombuffer(offsets, np.int32)[column.offset : column.offset + len(column) + 1]
    other = np.flatnonzero(np.diff(edges) != NUMBERS)
    if column.null_count or len(other):
        raise InputError(
            f"the column {EMBEDDING!r} has rows without {NUMBERS} bytes; expected a vector of {NUMBERS} int8 "
            "in each: see `tuningfork verify`"
        )
    return np.frombuffer(data, np.int8)[edges[0] : edges[-1]].reshape(-1, NUMBERS)


def to_lists(column: pa.BinaryArray) -> pa.FixedSizeListArray:
    """A column of the catalogue with the type `VECTOR`."""
    return pa.FixedSizeListArray.from_arrays(pa.array(to_vectors(column).reshape(-1)), type=VECTOR)
