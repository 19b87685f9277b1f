"""Shares of a consensus or a catalogue, read and written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline import storage
from pipeline.catalogue.export import Snapshot, open_snapshot
from pipeline.catalogue.snapshot import check_answers
from pipeline.errors import InputError
from pipeline.tree import DecisionTree
from pipeline.volunteers.bayesian import cumulative
from pipeline.volunteers.clean import clean
from pipeline.volunteers.debiasing.galaxies import Galaxies
from pipeline.volunteers.debiasing.learning import Debiasing
from pipeline.volunteers.weights import fractions

LEARN_FROM = 300_000
"""Galaxies that corrections are learnt from at most: every so many rows of the table."""


@dataclass(frozen=True)
class Shares:
    """Rows of a table.

    Attributes
    ----------
    shares : ndarray, shape (n, answers)
        Of those who are asked each question; 0 where nobody is.
    votes : ndarray, shape (n, answers), or None
        Votes for each answer, if the table has them.
    """

    object_id: pa.Array
    shares: NDArray[np.float64]
    votes: NDArray[np.float64] | None
    galaxies: Galaxies


@dataclass(frozen=True)
class ShareTable:
    """A consensus or a catalogue, and the properties of its galaxies."""

    uri: str
    tree: DecisionTree
    ids: pd.Index[str]
    galaxies: Galaxies

    @cached_property
    def snapshot(self) -> Snapshot:
        """Its current rows."""
        if not self.uri.endswith(".parquet"):
            return open_snapshot(self.uri, self.tree)
        with storage.explained("read", self.uri):
            fs, path = storage.filesystem(self.uri)
            with fs.open(path, "rb") as stream:
                schema = pq.read_schema(stream)
        check_answers(self.uri, schema, self.tree)
        return Snapshot((self.uri,), schema)

    @cached_property
    def has_votes(self) -> bool:
        """Whether it says how many votes each answer got."""
        return all(f"{column}_votes" in self.snapshot.schema.names for column in self.tree.columns)

    def rows(self, every: int = 1) -> Iterator[Shares]:
        """Its rows, or every so many of them, in batches."""
        votes = [f"{column}_votes" for column in self.tree.columns] if self.has_votes else []
        first = 0
        for batch in self.snapshot.batches(["object_id", *self.tree.columns, *votes]):
            taken = pa.array(np.arange(-first % every, len(batch), every))
            first += len(batch)
            yield self._shares(batch.take(taken), votes)

    def sample(self) -> Shares:
        """Rows to learn from.

        Raises
        ------
        InputError
            If properties are known of none of the galaxies.
        """
        parts = list(self.rows(max(-(-self.snapshot.rows // LEARN_FROM), 1)))
        several = [part.galaxies for part in parts]
        galaxies = Galaxies(
            *(
                np.concatenate([getattr(one, name) for one in several] or [np.zeros(0)])
                for name in _PROPERTIES
            )
        )
        if not galaxies.complete.any():
            raise InputError(
                f"of none of the {len(galaxies):,} galaxies of {self.uri} are magnitude, size and redshift "
                "known; expected rows with the same ids in galaxies=, sizes and redshifts above 0"
            )
        return Shares(
            pa.concat_arrays([part.object_id for part in parts]),
            np.concatenate([part.shares for part in parts]),
            np.concatenate([part.votes for part in parts if part.votes is not None])
            if self.has_votes
            else None,
            galaxies,
        )

    def _shares(self, batch: pa.RecordBatch, votes: list[str]) -> Shares:
        def matrix(names: list[str]) -> NDArray[np.float64]:
            return np.stack([batch[name].to_numpy(zero_copy_only=False) for name in names], axis=1).astype(
                np.float64
            )

        rows = self.ids.get_indexer(batch["object_id"].to_pylist())
        answers = np.nan_to_num(matrix(list(self.tree.columns)))
        return Shares(
            batch["object_id"].cast(pa.string()),
            fractions(self.tree, answers),
            matrix(votes) if votes else None,
            self.galaxies.take(rows.astype(np.int64)),
        )


_PROPERTIES = ("magnitude", "size", "redshift")


def debiased_schema(tree: DecisionTree, with_votes: bool) -> pa.Schema:
    """Columns of a corrected table.

    ``object_id``; of each answer the cumulative share, named as in the catalogue; of each question whether it
    was ``_debiased``; and where votes are known of each answer whether the galaxy is in its ``_clean``
    sample.
    """
    fields = [("object_id", pa.string())]
    fields += [(column, pa.float32()) for column in tree.columns]
    fields += [(f"{question.key}_debiased", pa.bool_()) for question in tree.questions]
    if with_votes:
        fields += [(f"{column}_clean", pa.bool_()) for column in tree.columns]
    return pa.schema(fields)


def debiased_batches(table: ShareTable, debiasing: Debiasing) -> Iterator[pa.RecordBatch]:
    """Corrected rows of a table."""
    schema = debiased_schema(table.tree, table.has_votes)
    for part in table.rows():
        corrected, done = debiasing.apply(part.shares, part.galaxies)
        columns = [part.object_id, *cumulative(table.tree, corrected).T.astype(np.float32), *done.T]
        if part.votes is not None:
            columns += [*clean(table.tree, part.votes, part.shares, corrected).T]
        arrays = [pa.array(np.ascontiguousarray(column)) for column in columns[1:]]
        yield pa.RecordBatch.from_arrays([columns[0], *arrays], schema=schema)
