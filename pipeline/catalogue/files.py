"""The catalogue's data files: written once, named after their content, and checked when they are read."""

from __future__ import annotations

import contextlib
import hashlib
import io
import itertools
import json
import math
import re
import time
import uuid
from collections.abc import Iterable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake.transaction import AddAction

from pipeline import storage
from pipeline.errors import InputError

TARGET_BYTES = 256 << 20
"""Size at which a data file is closed and the next begun."""

BATCH_ROWS = 65_536
"""Rows of a row group."""

_NAME = re.compile(r"part-\d{5}-[0-9a-f]{8}-(?P<sha256>[0-9a-f]{64})\.parquet")


def recorded_digest(uri: str) -> str | None:
    """The sha256 of a data file's content, which is part of its name; None for files that bear none.

    Catalogues of before there were such names have files without, and so do files of other writers.
    """
    match = _NAME.fullmatch(storage.name(uri))
    return None if match is None else match["sha256"]


def read_data_file(uri: str) -> bytes:
    """The content of a data file, checked against its name.

    Raises
    ------
    InputError
        If it is gone, or its content isn't what was written.
    """
    data = storage.read_bytes(uri)
    recorded = recorded_digest(uri)
    actual = hashlib.sha256(data).hexdigest()
    if recorded not in (None, actual):
        raise InputError(
            f"{uri}: expected content with the sha256 in its name, {recorded[:12]}…, and it has "
            f"{actual[:12]}…: the file was damaged; restore it, or classify again with new_run=true"
        )
    return data


def write_data_files(folder: str, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> list[AddAction]:
    """Write rows as data files of at least `TARGET_BYTES` each, but for the last.

    Their names hold a digest of the content and something unique: no two attempts share a file.

    Parameters
    ----------
    batches
        Rows, with the columns of `schema`; each batch becomes a row group.

    Returns
    -------
    list of AddAction
        What a version of the table says of each.
    """
    attempt, remaining, written = uuid.uuid4().hex[:8], iter(batches), list[AddAction]()
    while (data := _next_file(schema, remaining)) is not None:
        written.append(_store(folder, f"part-{len(written):05d}-{attempt}", data))
    return written


def _next_file(schema: pa.Schema, batches: Iterator[pa.RecordBatch]) -> bytes | None:
    """A Parquet file of the next rows; None if there are none left."""
    first = next(batches, None)
    if first is None:
        return None
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, schema, compression="zstd") as writer:
        for batch in itertools.chain([first], batches):
            writer.write_batch(batch)
            if sink.tell() >= TARGET_BYTES:
                break
    return sink.getvalue()


def _store(folder: str, stem: str, data: bytes) -> AddAction:
    name = f"{stem}-{hashlib.sha256(data).hexdigest()}.parquet"
    storage.write_bytes(storage.join(folder, name), data)
    return AddAction(
        path=name,
        size=len(data),
        partition_values={},
        modification_time=int(time.time() * 1000),
        data_change=True,
        stats=json.dumps(_statistics(pq.read_metadata(io.BytesIO(data)))),
    )


def statistics_of(metadata: pq.FileMetaData) -> dict[str, Any]:
    """Statistics of a data file's columns, each by the name that the Delta library gives it."""
    nested = _statistics(metadata)
    kinds = {"min.": "minValues", "max.": "maxValues", "null_count.": "nullCount"}
    return {prefix + name: value for prefix, kind in kinds.items() for name, value in nested[kind].items()}


def _statistics(metadata: pq.FileMetaData) -> dict[str, Any]:
    """What the Delta protocol calls per-file statistics: readers pass over files by them."""
    least: dict[str, Any] = {}
    most: dict[str, Any] = {}
    nulls: dict[str, int] = {}
    for column in range(metadata.num_columns):
        groups = [metadata.row_group(i).column(column) for i in range(metadata.num_row_groups)]
        statistics = [group.statistics for group in groups]
        name = groups[0].path_in_schema
        if any(one is None or not one.has_null_count for one in statistics):
            continue
        nulls[name] = sum(one.null_count for one in statistics)
        bounds = [(one.min, one.max) for one in statistics if one.has_min_max]
        if bounds and len(bounds) == len(statistics):
            least[name], most[name] = min(b[0] for b in bounds), max(b[1] for b in bounds)
    bounded = [name for name in least if _plain(least[name]) and _plain(most[name])]
    return {
        "numRecords": metadata.num_rows,
        "minValues": {name: least[name] for name in bounded},
        "maxValues": {name: most[name] for name in bounded},
        "nullCount": nulls,
    }


def _plain(value: Any) -> bool:
    """Whether JSON can hold a bound, and whole: long texts would have to be cut, and bytes are no text."""
    if isinstance(value, str):
        return len(value) <= 64
    return isinstance(value, int | float) and math.isfinite(value)


@contextlib.contextmanager
def _parquet(uri: str) -> Iterator[pq.ParquetFile]:
    with pq.ParquetFile(pa.BufferReader(read_data_file(uri))) as file:
        yield file


def read_batches(uris: Iterable[str], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    """Rows of data files, each checked against its name before its first row is given.

    Raises
    ------
    InputError
        If a file is gone or damaged.
    """
    for uri in uris:
        with storage.explained("read", uri), _parquet(uri) as file:
            for batch in file.iter_batches(BATCH_ROWS, columns=schema.names):
                yield batch.select(schema.names).cast(schema)
