"""A catalogue's embeddings, streamed in batches that share Arrow's memory."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.catalogue.delta import SnapshotFile
from pipeline.catalogue.embedding import EMBEDDING, STEP, projection_of, to_vectors
from pipeline.catalogue.region import Cone, Region, positions, separations
from pipeline.catalogue.snapshot import Snapshot, open_files
from pipeline.catalogue.where import Condition
from pipeline.errors import InputError
from pipeline.tree import DecisionTree

_PLACE = ("object_id", "ra", "dec")
_NEAR = 10 / 3600
"""Degrees within which a galaxy is the one at a position."""


@dataclass(frozen=True)
class EmbeddingBatch:
    """Some galaxies and their embeddings.

    Attributes
    ----------
    rows
        ``object_id, ra, dec``, and the columns that were asked for.
    vectors : ndarray, shape (n, 64), int8
        In units of the `step` of the `Embeddings`; read-only.
    """

    rows: pa.RecordBatch
    vectors: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.vectors)


@dataclass(frozen=True)
class Embeddings:
    """The embeddings of a catalogue's snapshot, less the galaxies that its source has no longer.

    Attributes
    ----------
    uri
        Of the catalogue.
    weights, projection
        sha256 of the weights and of the projection that made all of them. Embeddings can be compared where
        both are the same.
    step
        What 1 in a vector stands for.
    """

    uri: str
    weights: str
    projection: str
    _snapshot: Snapshot = field(repr=False)
    step: float = STEP

    @property
    def rows(self) -> int:
        """How many rows the snapshot has, those of galaxies that its source has no longer among them."""
        return self._snapshot.all_rows

    @property
    def schema(self) -> pa.Schema:
        """The catalogue's columns."""
        return self._snapshot.schema

    @property
    def region(self) -> Region | None:
        """The part of the sky whose galaxies come in batches; None for all."""
        return self._snapshot.region

    def batches(self, columns: Sequence[str] = ()) -> Iterator[EmbeddingBatch]:
        """All galaxies, some ten thousand at a time, in the same order each time.

        Parameters
        ----------
        columns
            Names of columns to read beside ``object_id, ra, dec``, such as answers.

        Raises
        ------
        InputError
            If there is no such column, a row has no vector, or a file can't be read.
        """
        names = list(dict.fromkeys([*_PLACE, *columns]))
        unknown = [name for name in names if name not in self._snapshot.schema.names]
        if unknown:
            raise InputError(f"{self.uri} has no column {unknown[0]!r}; name one of the catalogue's columns")
        for batch in self._snapshot.batches([*dict.fromkeys([*names, "stale"]), EMBEDDING]):
            current = batch
            if batch["stale"].null_count < len(batch):
                current = batch.filter(batch["stale"].is_null())
            yield EmbeddingBatch(current.select(names), to_vectors(current[EMBEDDING]))

    def find(self, ids: Sequence[str], columns: Sequence[str] = ()) -> EmbeddingBatch:
        """Galaxies by their ids, in that order, wherever on the sky.

        Raises
        ------
        InputError
            If one of them isn't there, or the source has it no longer; and as `batches`.
        """
        names = list(dict.fromkeys([*_PLACE, *columns]))
        rows = replace(self._snapshot, region=None).find(ids, [*dict.fromkeys([*names, "stale"]), EMBEDDING])
        current = rows.filter(pc.is_null(rows["stale"])).combine_chunks()
        places = pc.index_in(pa.array(ids, pa.string()), current["object_id"].combine_chunks())
        if places.null_count:
            absent = ids[places.is_null().to_pylist().index(True)]
            gone = absent in rows["object_id"].to_pylist()
            raise InputError(
                f"{self.uri} has no galaxy {absent!r}"
                + (" any more: its source has it no longer" if gone else "; name one by its object_id")
            )
        chosen = current.take(places).combine_chunks()
        batch = chosen.to_batches()[0] if ids else pa.RecordBatch.from_pylist([], chosen.schema)
        return EmbeddingBatch(batch.select(names), to_vectors(batch[EMBEDDING]))

    def holding(self, ids: Collection[str], condition: Condition) -> set[str]:
        """Those of some galaxies for which a condition holds, wherever on the sky; no vectors are read."""
        names = list(dict.fromkeys(["object_id", *condition.columns]))
        rows = replace(self._snapshot, region=None).find(ids, names)
        kept = (batch.filter(condition.holds(batch)) for batch in rows.to_batches())
        return {name for batch in kept for name in batch["object_id"].to_pylist()}

    def at(self, ra: float, dec: float) -> str:
        """The id of the galaxy nearest to a position, in degrees, and within 10 arcsec of it.

        Raises
        ------
        InputError
            If there is none.
        """
        near = replace(self._snapshot, region=Cone(ra, dec, _NEAR))
        nearest, identifier = np.inf, None
        for batch in near.batches(["object_id", "ra", "dec", "stale"]):
            rows = batch.filter(batch["stale"].is_null())
            apart = separations(ra, dec, *positions(rows)[:2])
            if len(rows) and apart.min() < nearest:
                nearest, identifier = apart.min(), rows["object_id"][int(apart.argmin())].as_py()
        if identifier is None:
            raise InputError(
                f"{self.uri} has no galaxy within {_NEAR * 3600:.0f} arcsec of {ra:g}, {dec:g}; name one by "
                "its object_id"
            )
        return str(identifier)


def open_embeddings(
    uri: str, tree: DecisionTree, as_of: str | None = None, region: Region | None = None
) -> Embeddings:
    """The embeddings of a catalogue, as it is or as it was (see `open_version`).

    Parameters
    ----------
    region
        The part of the sky whose galaxies come in batches.

    Raises
    ------
    InputError
        If there is no such snapshot, it has not the columns of `tree` or no embeddings, or not all of these
        are of the same weights.
    """
    snapshot, files = open_files(uri, tree, as_of, region)
    if EMBEDDING not in snapshot.schema.names:
        raise InputError(
            f"{uri} has no embeddings: say embedding=true to classify with new_run=true, or to refresh, "
            "which then classifies every galaxy anew"
        )
    weights = _weights_of(uri, replace(snapshot, region=None), files)
    return Embeddings(uri, weights, projection_of(snapshot.schema), snapshot)


def _weights_of(uri: str, snapshot: Snapshot, files: Sequence[SnapshotFile]) -> str:
    """The weights that all current rows are of; the log tells it of most catalogues."""
    logged = {file.statistics.get(f"{bound}.weights") for file in files for bound in ("min", "max")}
    if len(logged) == 1 and None not in logged:
        return str(logged.pop())
    every: set[str] = set()
    for batch in snapshot.batches(["weights", "stale"]):
        every.update(pc.unique(batch["weights"].filter(batch["stale"].is_null())).to_pylist())
    if len(every) > 1:
        first, second, *_ = sorted(every)
        raise InputError(
            f"{uri} holds rows of {len(every)} weights, such as {first[:12]}… and {second[:12]}…, whose "
            "embeddings can't be compared; classify all of it with the same: `tuningfork refresh` does"
        )
    return every.pop() if every else ""
