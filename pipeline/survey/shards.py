"""Read the shards of a cutout set: Parquet files under any fsspec URI, in row ranges."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.errors import InputError
from pipeline.survey.cutouts import CUTOUT_SCHEMA, check_columns, conform
from pipeline.survey.manifest import MANIFEST, read_survey

SUFFIX = ".parquet"

FIELD_NAMES = ("field.png", "field.jpg")
"""The field image that the cutouts were taken from, beside the shards."""

WRITTEN_BY = b"tuningfork.cutouts"
"""Key in a shard's Parquet metadata by which `ShardWriter`'s shards are known."""

_READERS = 16


@dataclass(frozen=True)
class ShardInfo:
    """One Parquet file of a cutout set; `etag` changes when its content does."""

    uri: str
    size: int
    etag: str
    rows: int


def list_shards(uri: str) -> list[ShardInfo]:
    """The shards of a cutout set, sorted by URI; each one's footer is read, so that it's known to be sound.

    Parameters
    ----------
    uri
        A folder with Parquet files below it, or one Parquet file. Names that start with ``.`` or ``_`` are
        passed over.

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
    files = list(listed.values())
    if not files:
        what = "holds no Parquet file" if storage.exists(uri) else "doesn't exist"
        raise InputError(f"{uri} {what}; expected a cutout set: make one with `tuningfork ingest`")
    with ThreadPoolExecutor(_READERS) as readers:
        footers = list(readers.map(lambda file: _read_footer(file.uri), files))
    _check_complete(uri, dict(zip(listed, footers, strict=True)))
    return [
        ShardInfo(file.uri, file.size, file.etag, footer.num_rows)
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
        check_columns(file.schema_arrow, shard_uri)
        if not 0 <= start <= stop <= file.metadata.num_rows:
            raise InputError(
                f"{shard_uri} has {file.metadata.num_rows} rows; expected rows {start} to {stop}: "
                "if it changed since the run was planned, start a new run"
            )
        sizes = [file.metadata.row_group(group).num_rows for group in range(file.metadata.num_row_groups)]
        ends = np.cumsum([0, *sizes])
        groups = [g for g in range(len(sizes)) if ends[g] < stop and ends[g + 1] > start]
        columns = [name for name in CUTOUT_SCHEMA.names if name in file.schema_arrow.names]
        first = int(ends[groups[0]]) if groups else 0
        return conform(file.read_row_groups(groups, columns=columns).slice(start - first, stop - start))


def read_ids(shard_uri: str) -> pa.ChunkedArray:
    """The ``object_id`` column of a shard, as strings; no image is fetched.

    Raises
    ------
    InputError
        If the shard can't be read or lacks the column.
    """
    with _opened(shard_uri) as file:
        check_columns(file.schema_arrow, shard_uri)
        return file.read(columns=["object_id"])["object_id"].cast(pa.string())


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


def _read_footer(uri: str) -> pq.FileMetaData:
    with _opened(uri) as file:
        check_columns(file.schema_arrow, uri)
        return file.metadata


def _check_complete(uri: str, footers: dict[str, pq.FileMetaData]) -> None:
    """Check a set of `ShardWriter`'s against its ``survey.json``; a set from elsewhere needs none."""
    if list(footers) == [""]:  # the URI is that of one file
        return
    survey = read_survey(uri)
    if survey is None:
        own = [name for name, footer in footers.items() if WRITTEN_BY in (footer.metadata or {})]
        if own:
            raise InputError(
                f"{uri} has {own[0]} but no {MANIFEST}: its ingest was cut short, or the set lies in a "
                "folder below; run the same `tuningfork ingest` again, or name the set's own folder"
            )
        return
    expected = {shard.name: shard.rows for shard in survey.shards}
    found = {name: footer.num_rows for name, footer in footers.items()}
    for name in sorted(expected.keys() | found.keys()):
        if expected.get(name) != found.get(name):
            raise InputError(
                f"{storage.join(uri, name)} has {found.get(name, 'no')} rows and {MANIFEST} says "
                f"{expected.get(name, 'no such shard')}; remove the set and ingest it again"
            )


def _below(uri: str, folder: str) -> str:
    """The part of a file's URI below the folder that was listed."""
    _, path = storage.filesystem(uri)
    _, root = storage.filesystem(folder)
    return str(path)[len(str(root)) :].lstrip("/") if str(path).startswith(str(root)) else str(path)


@contextlib.contextmanager
def _opened(uri: str) -> Iterator[pq.ParquetFile]:
    """A Parquet file of any store; what goes wrong names the file."""
    fs, path = storage.filesystem(uri)
    try:
        with fs.open(path, "rb") as stream, pq.ParquetFile(stream, pre_buffer=True) as file:
            yield file
    except FileNotFoundError as error:
        raise InputError(f"cannot read {uri}: it doesn't exist") from error
    except pa.ArrowInvalid as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{uri} is not sound Parquet ({reason}); expected a shard of a cutout set"
        ) from error
    except OSError as error:
        raise InputError(f"cannot read {uri}: {' '.join(str(error).split())}") from error
