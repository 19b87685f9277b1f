"""Read the shards of a cutout set: Parquet files under any fsspec URI, in row ranges."""

from __future__ import annotations

import contextlib
import functools
import itertools
import shlex
from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline import storage
from pipeline.cutouts.manifest import MANIFEST, read_survey
from pipeline.cutouts.reading import (
    DamagedShard,
    Footer,
    ReadFooter,
    SalvagedRows,
    ShardInfo,
    check_range,
    opened,
)
from pipeline.cutouts.table import (
    CUTOUTS,
    TableLayout,
    check_columns,
    conform,
    is_banded,
    readable_ids,
    undecodable_ids,
)
from pipeline.errors import InputError
from pipeline.images.decode import PICTURE_SUFFIXES

SUFFIX = ".parquet"

FIELD_NAMES = ("field.png", "field.jpg")
"""The field image that the cutouts were taken from, beside the shards."""

WRITTEN_BY = b"tuningfork.cutouts"
"""Key in a shard's Parquet metadata by which `ShardWriter`'s shards are known."""

_DAMAGE = (pa.ArrowException, OSError, ValueError, OverflowError)
"""What Arrow raises about bytes that are no sound Parquet."""


def list_shards(uri: str, layout: TableLayout = CUTOUTS, read: ReadFooter | None = None) -> list[ShardInfo]:
    """The shards of a cutout set, sorted by URI; each one's footer is read, so that it's known to be sound.

    Parameters
    ----------
    uri
        A folder with Parquet files below it, or one Parquet file. Names that start with ``.`` or ``_`` are
        passed over, and in a HATS catalogue all that is not one of its partitions.
    layout
        Names of the columns.
    read
        Reads a footer, by default `read_footer`.

    Raises
    ------
    InputError
        If the URI can't be reached or has no Parquet file below it, one isn't Parquet or lacks a column, or
        an ingest of it hasn't ended.
    """
    listed = {_below(file.uri, uri): file for file in storage.list_files(uri, SUFFIX)}
    listed = {
        path: file
        for path, file in listed.items()
        if not any(part.startswith((".", "_")) for part in path.split("/"))
    }
    if any(_is_partition(path) for path in listed):
        _check_catalogue(uri)
        listed = {path: file for path, file in listed.items() if _is_partition(path)}
    files = list(listed.values())
    if not files:
        raise InputError(_nothing_in(uri, layout))
    read = read or functools.partial(read_footer, layout=layout)
    footers = list(storage.read_ahead(read, [file.uri for file in files]))
    _check_complete(uri, dict(zip(listed, footers, strict=True)))
    return [
        ShardInfo(file.uri, file.size, file.etag, footer.rows)
        for file, footer in zip(files, footers, strict=True)
    ]


def read_rows(shard_uri: str, start: int, stop: int) -> pa.Table:
    """Rows `start` to `stop` (exclusive) of a shard; only the row groups that hold them are fetched.

    Returns
    -------
    pyarrow.Table
        `stop` - `start` rows of `CUTOUT_SCHEMA`.

    Raises
    ------
    InputError
        If the shard can't be read, lacks a column or hasn't these rows.
    """
    with _opened(shard_uri) as file:
        return conform(_read_range(file, shard_uri, start, stop, CUTOUTS))


def salvage_rows(shard_uri: str, start: int, stop: int, layout: TableLayout = CUTOUTS) -> SalvagedRows:
    """Rows `start` to `stop` of a shard, without those of row groups whose bytes are damaged.

    A row group counts as damaged when it was read twice and the store itself reported no failure.

    Raises
    ------
    StorageTrouble
        If the store fails: that is no fault of the rows.
    InputError
        If the shard is gone, its footer is damaged, it lacks a column or hasn't these rows.
    """
    try:
        return _read_sound(shard_uri, start, stop, layout)
    except DamagedShard:
        bounds = group_ranges(shard_uri, start, stop)
        pieces = [_salvage_group(shard_uri, first, last, layout) for first, last in bounds]
    problems: dict[int, tuple[str, str]] = {}
    offset = 0
    for piece in pieces:
        problems |= {offset + row: problem for row, problem in piece.problems.items()}
        offset += len(piece.table)
    table = _concatenated([piece.table for piece in pieces])
    return SalvagedRows(table, problems, _banded_images(table))


def group_ranges(shard_uri: str, start: int, stop: int) -> list[tuple[int, int]]:
    """Rows [start, stop) of a shard cut where its row groups end; only the footer is read."""
    with _opened(shard_uri) as file:
        ends = _group_ends(file)
        cuts = [start, *(int(end) for end in ends[:-1] if start < end < stop), stop]
    return [(first, last) for first, last in itertools.pairwise(cuts) if first < last]


def _concatenated(tables: list[pa.Table]) -> pa.Table:
    """Tables one after another; in those without images their column takes the type of the others'."""
    schema = next((table.schema for table in tables if _banded_images(table)), tables[0].schema)
    index = schema.get_field_index("image")
    return pa.concat_tables(
        table
        if table.schema.equals(schema)
        else table.set_column(index, schema.field(index), pa.nulls(len(table), schema.field(index).type))
        for table in tables
    )


def _banded_images(table: pa.Table) -> pa.ChunkedArray | None:
    """Images that are no bytes, still as Arrow has them: as Python's lists they'd be slow and large."""
    return table["image"] if is_banded(table["image"].type) else None


def _read_sound(shard_uri: str, start: int, stop: int, layout: TableLayout) -> SalvagedRows:
    with _opened(shard_uri) as file:
        table = _read_range(file, shard_uri, start, stop, layout)
    conformed = conform(table, layout)
    problems = {
        row: (
            "bad_object_id",
            f"object_id '{conformed['object_id'][row].as_py()[:100]}' is not text (UTF-8), as ids must be",
        )
        for row in undecodable_ids(table[layout.actual("object_id")])
    }
    return SalvagedRows(conformed, problems, _banded_images(conformed))


def _salvage_group(shard_uri: str, start: int, stop: int, layout: TableLayout) -> SalvagedRows:
    """Rows of one row group; if its bytes are damaged, just the ids, and not even they if they are."""
    try:
        return _read_sound(shard_uri, start, stop, layout)
    except DamagedShard as damage:
        message = f"rows {start} to {stop - 1} lie in a damaged row group: {damage}; write the shard anew"
    try:
        with _opened(shard_uri) as file:
            ids = conform(_read_range(file, shard_uri, start, stop, layout, ("object_id",)), layout)
    except DamagedShard:
        ids = pa.Table.from_pylist([{}] * (stop - start), schema=layout.schema)
    return SalvagedRows(ids, dict.fromkeys(range(stop - start), ("unreadable_rows", message)))


def _read_range(
    file: pq.ParquetFile,
    uri: str,
    start: int,
    stop: int,
    layout: TableLayout,
    names: Sequence[str] | None = None,
) -> pa.Table:
    check_columns(file.schema_arrow, uri, layout)
    check_range(uri, file.metadata.num_rows, start, stop)
    ends = _group_ends(file)
    groups = [g for g in range(len(ends) - 1) if ends[g] < stop and ends[g + 1] > start]
    columns = _leaves(file, layout, layout.schema.names if names is None else names)
    first = int(ends[groups[0]]) if groups else 0
    read = file.read_row_groups(groups, columns=columns).slice(start - first, stop - start)
    if len(read) != stop - start:
        raise DamagedShard(f"{uri} is damaged: {len(read)} rows came where {stop - start} were expected")
    return read


def _leaves(file: pq.ParquetFile, layout: TableLayout, names: Sequence[str]) -> list[str]:
    """What to read of some columns: of a galaxy's bands only the parts that are looked at."""
    columns = [layout.actual(name) for name in names if layout.actual(name) in file.schema_arrow.names]
    image = layout.actual("image")
    if image not in columns or not is_banded(file.schema_arrow.field(image).type):
        return columns
    paths = [file.schema.column(index).path for index in range(len(file.schema))]
    parts = [
        path
        for path in paths
        if path.split(".")[0] == image and set(path.split(".")[1:]) & set(layout.image_parts)
    ]
    return [name for name in columns if name != image] + parts


def _group_ends(file: pq.ParquetFile) -> NDArray[np.int64]:
    """Row at which each row group ends, from 0."""
    sizes = [file.metadata.row_group(group).num_rows for group in range(file.metadata.num_row_groups)]
    return np.cumsum([0, *sizes])


def read_ids(shard_uri: str, layout: TableLayout = CUTOUTS) -> pa.ChunkedArray:
    """The ``object_id`` column of a shard, as strings; no image is fetched.

    An id that is damaged or not UTF-8 is null: `salvage_rows` says what is wrong with its row.

    Raises
    ------
    InputError
        If the shard can't be read or lacks the column.
    """
    try:
        with _opened(shard_uri) as file:
            check_columns(file.schema_arrow, shard_uri, layout)
            name = layout.actual("object_id")
            return _sure_ids(file.read(columns=[name])[name])
    except DamagedShard:
        with _opened(shard_uri) as file:
            rows = file.metadata.num_rows
    pieces = [_group_ids(shard_uri, first, last, layout) for first, last in group_ranges(shard_uri, 0, rows)]
    return pa.chunked_array([chunk for piece in pieces for chunk in piece.chunks], pa.string())


def _sure_ids(column: pa.ChunkedArray) -> pa.ChunkedArray:
    ids, bad = readable_ids(column), undecodable_ids(column)
    if not bad:
        return ids
    return pa.chunked_array(
        [[None if row in bad else name for row, name in enumerate(ids.to_pylist())]], pa.string()
    )


def _group_ids(uri: str, start: int, stop: int, layout: TableLayout) -> pa.ChunkedArray:
    try:
        with _opened(uri) as file:
            table = _read_range(file, uri, start, stop, layout, ("object_id",))
            return _sure_ids(table[layout.actual("object_id")])
    except DamagedShard:
        return pa.chunked_array([pa.nulls(stop - start, pa.string())])


def read_field(uri: str) -> bytes | None:
    """The field image beside the shards (``field.png`` or ``field.jpg``); None if there is none.

    Parameters
    ----------
    uri
        The cutout set: a folder, or one Parquet file.
    """
    folder = uri.rstrip("/").rpartition("/")[0] if uri.endswith(SUFFIX) else uri
    for name in FIELD_NAMES:
        path = storage.join(folder, name) if folder else name
        if storage.exists(path):
            return storage.read_bytes(path)
    return None


def _is_partition(path: str) -> bool:
    """Whether a path is that of a HATS partition: ``Norder=k/Dir=d/Npix=n.parquet``, or files in such."""
    parts = path.split("/")
    return any(part.startswith("Norder=") for part in parts) and any(
        part.startswith("Npix=") for part in parts
    )


def _check_catalogue(uri: str) -> None:
    """Check that a folder of HATS partitions isn't a collection, whose margins repeat galaxies."""
    if storage.exists(storage.join(uri, "collection.properties")):
        raise InputError(
            f"{uri} is a HATS collection; name the folder of its catalogue, the one that its "
            "collection.properties calls hats_primary_table_url"
        )


def holds_bands(uri: str, column: str) -> bool:
    """Whether a column of a Parquet file holds fluxes by band.

    Raises
    ------
    InputError
        If it can't be read.
    """
    with _opened(uri) as file:
        index = file.schema_arrow.get_field_index(column)
        return index >= 0 and is_banded(file.schema_arrow.field(index).type)


def read_footer(uri: str, layout: TableLayout = CUTOUTS) -> Footer:
    """What a shard tells of itself: an Arrow footer takes tens of kilobytes, and a survey has 20,000.

    Raises
    ------
    InputError
        If it can't be read or lacks a column.
    """
    with _opened(uri) as file:
        check_columns(file.schema_arrow, uri, layout)
        return Footer(file.metadata.num_rows, WRITTEN_BY in (file.metadata.metadata or {}))


def _nothing_in(uri: str, layout: TableLayout) -> str:
    """Why there is no cutout set; of a folder of pictures, the commands that make one of it."""
    if not storage.exists(uri):
        return f"{uri} doesn't exist; expected a cutout set: {layout.advice}"
    pictures = sum(file.uri.lower().endswith(PICTURE_SUFFIXES) for file in storage.list_files(uri))
    if not pictures or layout is not CUTOUTS:
        return f"{uri} holds no Parquet file; expected a cutout set: {layout.advice}"
    made = f"{uri.rstrip('/')}-cutouts"
    return (
        f"{uri} holds {pictures:,} pictures, and a cutout set is expected; make one of them by `tuningfork "
        f"ingest images {shlex.quote(uri)} output={shlex.quote(made)}`, and give input={shlex.quote(made)}"
    )


def _check_complete(uri: str, footers: dict[str, Footer]) -> None:
    """Check a set of `ShardWriter`'s against its ``survey.json``; a set from elsewhere needs none."""
    if list(footers) == [""]:  # the URI is that of one file
        return
    survey = read_survey(uri)
    if survey is None:
        own = [name for name, footer in footers.items() if footer.own]
        if own:
            raise InputError(
                f"{uri} has {own[0]} but no {MANIFEST}: its ingest was cut short, or the set lies in a "
                "folder below; run the same `tuningfork ingest` again, or name the set's own folder"
            )
        return
    expected = {shard.name: shard.rows for shard in survey.shards}
    actual = {name: footer.rows for name, footer in footers.items()}
    for name in sorted(expected.keys() | actual.keys()):
        if expected.get(name) != actual.get(name):
            raise InputError(
                f"{storage.join(uri, name)} has {actual.get(name, 'no')} rows and {MANIFEST} says "
                f"{expected.get(name, 'no such shard')}; remove the set and ingest it again"
            )


def _below(uri: str, folder: str) -> str:
    """The part of a file's URI below the folder that was listed."""
    _, path = storage.filesystem(uri)
    _, root = storage.filesystem(folder)
    return str(path)[len(str(root)) :].lstrip("/") if str(path).startswith(str(root)) else str(path)


@contextlib.contextmanager
def _opened(uri: str) -> Iterator[pq.ParquetFile]:
    """A Parquet file of any store; what goes wrong names the file and tells damage from a failing store."""
    with (
        opened(uri, "Parquet", _DAMAGE) as stream,
        pq.ParquetFile(stream, pre_buffer=True, page_checksum_verification=True) as file,
    ):
        yield file
