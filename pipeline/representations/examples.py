"""Examples of a search: galaxies that others shall be like, or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.catalogue.embedding import EMBEDDING
from pipeline.representations.reading import Embeddings


@dataclass(frozen=True)
class Examples:
    """Galaxies with their rows and vectors.

    Attributes
    ----------
    rows
        With the columns of `example_columns`.
    vectors : ndarray, shape (n, 64), int8
        Their embeddings.
    pictures
        JPEG or PNG of examples that are in no catalogue, by id.
    """

    rows: pa.Table
    vectors: NDArray[np.int8]
    pictures: Mapping[str, bytes] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def ids(self) -> list[str]:
        """Their names."""
        names: list[str] = self.rows["object_id"].to_pylist()
        return names

    def with_more(self, other: Examples) -> Examples:
        """These and some others."""
        rows = pa.concat_tables([self.rows, other.rows])
        vectors = np.concatenate([self.vectors, other.vectors])
        return Examples(rows, vectors, {**self.pictures, **other.pictures})


def example_columns(embeddings: Embeddings) -> pa.Schema:
    """The columns of a catalogue but the vectors; any may be without a value."""
    return pa.schema([(column.name, column.type) for column in embeddings.schema if column.name != EMBEDDING])


def examples_by_id(embeddings: Embeddings, ids: Sequence[str]) -> Examples:
    """Galaxies of a catalogue as examples.

    Raises
    ------
    InputError
        If one isn't there.
    """
    schema = example_columns(embeddings)
    batch = embeddings.find(list(dict.fromkeys(ids)), schema.names)
    rows = pa.Table.from_batches([batch.rows.select(schema.names)])
    return Examples(rows.cast(schema), batch.vectors)
