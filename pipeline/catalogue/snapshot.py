"""The rows of a catalogue's snapshot, or of a region of it, in batches."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pa_dataset
import pyarrow.parquet as pq
from deltalake import DeltaTable

from pipeline import storage
from pipeline.catalogue.delta import SnapshotFile, open_version, reading_log, snapshot_dataset, snapshot_files
from pipeline.catalogue.embedding import EMBEDDING, VECTOR, projection_of, to_lists, with_projection
from pipeline.catalogue.making import Provenance, provenance_of
from pipeline.catalogue.region import Region, inside
from pipeline.catalogue.schema import CLASS, catalogue_schema
from pipeline.errors import InputError
from pipeline.tree import DecisionTree

BATCH_ROWS = 16_384
_COLUMN_BUFFER_BYTES = 1 << 18

Progress = Callable[[int], None]
"""A function that is called with the number of rows just done."""


def silent(rows: int) -> None:
    """Show no progress: for callers that want none."""


def catalogue_dataset(uri: str, tree: DecisionTree) -> pa_dataset.Dataset:
    """The current snapshot of a catalogue.

    Raises
    ------
    InputError
        If there is no catalogue, or it has not the columns of `tree`.
    """
    return snapshot_dataset(uri, open_table(uri, tree))


def open_snapshot(
    uri: str, tree: DecisionTree, region: Region | None = None, as_of: str | None = None
) -> Snapshot:
    """The current snapshot of a catalogue, or an older one (see `open_version`), its columns described.

    Raises
    ------
    InputError
        If there is no such snapshot, or it has not the columns of `tree`.
    """
    return open_files(uri, tree, as_of, region)[0]


def open_files(
    uri: str, tree: DecisionTree, as_of: str | None = None, region: Region | None = None
) -> tuple[Snapshot, list[SnapshotFile]]:
    """A snapshot, as `open_snapshot` opens it, and what the log says of its files."""
    table = open_table(uri, tree, as_of)
    stored = pa.schema(table.schema().to_arrow())
    classes = CLASS in stored.names
    columns = catalogue_schema(
        tree, uncertainty=True, embedding=True, rejection=True, clumps=True, classes=classes
    )
    described = {field.name: field.metadata for field in columns}
    schema = pa.schema([field.with_metadata(described.get(field.name)) for field in stored])
    if EMBEDDING in stored.names:
        schema = with_projection(schema, projection_of(stored))
    files = snapshot_files(uri, table)
    with reading_log(uri):
        provenance = provenance_of(uri, table)
    return Snapshot(tuple(file.uri for file in files), schema, region, provenance), files


def open_table(uri: str, tree: DecisionTree, as_of: str | None = None) -> DeltaTable:
    """The table of a catalogue as it is, or as it was (see `open_version`).

    Raises
    ------
    InputError
        If there is no such snapshot, or it has not the columns of `tree`.
    """
    table = open_version(uri, as_of)
    check_answers(uri, pa.schema(table.schema().to_arrow()), tree)
    return table


def check_answers(uri: str, schema: pa.Schema, tree: DecisionTree) -> None:
    """Check that a table has ids, and a column for each answer of a tree.

    Raises
    ------
    InputError
        If it lacks one.
    """
    missing = [name for name in ("object_id", *tree.columns) if name not in schema.names]
    if missing:
        raise InputError(
            f"{uri} lacks {len(missing)} columns of tree {tree.name!r}, first {missing[0]!r}; name the tree "
            "whose answers it holds as tree=FILE"
        )


@dataclass(frozen=True)
class _Group:
    """A row group of one of the snapshot's files, and how many of its rows the snapshot takes."""

    file: str
    index: int
    rows: int
    taken: int


@dataclass(frozen=True)
class Snapshot:
    """Rows of a snapshot, all of them or those in a region, in the same order each time.

    A file's row groups can hold a million rows; only pages of them are in memory at a time.

    Attributes
    ----------
    files
        URIs of its Parquet files.
    schema
        Its columns; the metadata of the fields are those of `catalogue_schema`.
    region
        The part of the sky whose rows it takes; None for all, galaxies without a position included.
    provenance
        Where its rows come from.
    """

    files: tuple[str, ...]
    schema: pa.Schema
    region: Region | None = None
    provenance: Provenance = field(default_factory=Provenance)

    @cached_property
    def rows(self) -> int:
        """How many rows the snapshot takes, in its region if it has one."""
        return sum(group.taken for group in self._groups)

    @cached_property
    def all_rows(self) -> int:
        """Rows of the snapshot, wherever on the sky."""
        return sum(group.rows for group in self._groups)

    def batches(
        self, columns: Sequence[str] | None = None, progress: Progress = silent
    ) -> Iterator[pa.RecordBatch]:
        """The rows that the snapshot takes, a batch at a time.

        Parameters
        ----------
        columns
            Names of the columns to read, in their order in the batches; None for all.
        progress
            Called with the number of rows read or passed over, `all_rows` in the end.

        Raises
        ------
        InputError
            If a file is gone or damaged, or the store can't be reached.
        """
        names = self.schema.names if columns is None else list(columns)
        schema = pa.schema([self.schema.field(name) for name in names])
        read = names if self.region is None else list(dict.fromkeys([*names, "ra", "dec"]))
        for group in self._groups:
            if not group.taken:
                progress(group.rows)
                continue
            for batch in _read(group.file, group.index, read):
                kept = batch if self.region is None else batch.filter(pa.array(inside(batch, self.region)))
                if len(kept):
                    yield _as(schema, kept.select(names))
                progress(len(batch))

    def find(self, ids: Collection[str], columns: Sequence[str]) -> pa.Table:
        """The rows that the snapshot takes with these ids, in its order.

        Parameters
        ----------
        columns
            Names of the columns to read; of row groups without any of the ids no more than these is read.

        Raises
        ------
        InputError
            As `batches`.
        """
        wanted = pa.array(sorted(ids), pa.string())
        names = list(dict.fromkeys(["object_id", *columns]))
        schema = pa.schema([self.schema.field(name) for name in names])
        rows = [schema.empty_table()]
        for group in self._groups:
            some = (pc.is_in(batch["object_id"], wanted) for batch in self._of(group, ["object_id"]))
            if any(mask.true_count for mask in some):
                for batch in self._of(group, names):
                    kept = batch.filter(pc.is_in(batch["object_id"], wanted))
                    rows.append(pa.Table.from_batches([_as(schema, kept.select(names))]))
        return pa.concat_tables(rows).select(list(columns))

    def _of(self, group: _Group, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Those rows of a row group that the snapshot takes, with the region's columns beside those named."""
        read = columns if self.region is None else list(dict.fromkeys([*columns, "ra", "dec"]))
        for batch in _read(group.file, group.index, list(read)):
            yield batch if self.region is None else batch.filter(pa.array(inside(batch, self.region)))

    @cached_property
    def _groups(self) -> list[_Group]:
        groups = []
        for file in self.files:
            with _opened(file) as parquet:
                sizes = [parquet.metadata.row_group(i).num_rows for i in range(parquet.num_row_groups)]
            groups += [_Group(file, i, rows, self._count(file, i, rows)) for i, rows in enumerate(sizes)]
        return groups

    def _count(self, file: str, index: int, rows: int) -> int:
        """How many rows of a row group lie in the region; two of its columns tell, and no other is read."""
        if self.region is None:
            return rows
        masks = (inside(batch, self.region) for batch in _read(file, index, ["ra", "dec"]))
        return sum(int(mask.sum()) for mask in masks)


def _as(schema: pa.Schema, batch: pa.RecordBatch) -> pa.RecordBatch:
    """A batch with the types of a schema, which may want embeddings as vectors."""
    place = schema.get_field_index(EMBEDDING)
    if place >= 0 and schema.field(place).type == VECTOR:
        batch = batch.set_column(place, schema.field(place), to_lists(batch.column(place)))
    return batch.cast(schema)


def _read(file: str, group: int, columns: list[str]) -> Iterator[pa.RecordBatch]:
    with _opened(file) as parquet:
        batches = parquet.iter_batches(BATCH_ROWS, [group], columns)
        while True:
            with storage.explained("read", file):
                batch = next(batches, None)
            if batch is None:
                return
            yield batch


@contextlib.contextmanager
def _opened(file: str) -> Iterator[pq.ParquetFile]:
    fs, path = storage.filesystem(file)
    with contextlib.ExitStack() as stack:
        with storage.explained("read", file):
            # Each column's stream has a buffer of its own; a cache before them all would be filled in vain.
            stream = stack.enter_context(fs.open(path, "rb", cache_type="none"))
            parquet = pq.ParquetFile(stream, buffer_size=_COLUMN_BUFFER_BYTES, pre_buffer=False)
        yield parquet
