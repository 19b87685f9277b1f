"""Write a cutout set: rows into Parquet shards of bounded size, then ``survey.json``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.cutouts.manifest import ShardRows, Survey, create_survey
from pipeline.cutouts.shards import FIELD_NAMES, WRITTEN_BY
from pipeline.cutouts.table import CUTOUT_SCHEMA, REQUIRED_COLUMNS
from pipeline.errors import InputError

SHARD_ROWS = 1024
ROW_GROUP_ROWS = 64
"""Rows of a shard, and of a row group in it. Both divide evenly with work units of 64, 128, 256, …, so that
no row group is fetched for two of them."""

SHARD_BYTES = 256 << 20
"""A shard is closed at this size of images, whatever its rows: it is held in memory until it's whole."""


class ShardWriter:
    """Streams rows into ``cutouts-00000.parquet``, …; memory holds one shard at most.

    Every file is created whole and none is replaced. So the same ingest can be run again after it was cut
    short, and two that race for one folder can't mix their rows.

    Parameters
    ----------
    uri
        Folder of the set, any fsspec URI.
    name, source, criteria
        What the set is called and what it is made from; kept in ``survey.json``.
    shard_rows, row_group_rows
        Rows of a shard, and of a row group, the least that a reader fetches.
    further
        Columns that a row has beside those of `CUTOUT_SCHEMA`: for people, readers pass over them.
    stem
        What the shards' names begin with, where several writers fill one folder; it begins with "cutouts".
    """

    def __init__(
        self,
        uri: str,
        *,
        name: str,
        source: str,
        criteria: Mapping[str, Any],
        shard_rows: int = SHARD_ROWS,
        row_group_rows: int = ROW_GROUP_ROWS,
        further: Iterable[pa.Field] = (),
        stem: str = "cutouts",
    ) -> None:
        self.uri = uri
        self._name, self._source, self._criteria = name, source, dict(criteria)
        self._shard_rows, self._row_group_rows = shard_rows, row_group_rows
        self._schema = pa.schema([*CUTOUT_SCHEMA, *further], {WRITTEN_BY: name.encode()})
        self._stem = stem
        self._shards: list[ShardRows] = []
        self._group: list[Mapping[str, Any]] = []
        self._rows = self._bytes = 0
        self._open_shard()

    def write(self, row: Mapping[str, Any]) -> None:
        """Add a row: a mapping with ``object_id``, ``image`` and any other column of the set.

        Raises
        ------
        InputError
            If a required column is absent or a column is unknown, or the store refuses a finished shard.
        """
        wrong = [key for key in REQUIRED_COLUMNS if key not in row]
        wrong += [key for key in row if key not in self._schema.names]
        if wrong:
            raise InputError(
                f"a cutout row has the columns {', '.join(row)}; {wrong[0]!r} is absent or unknown"
            )
        self._group.append(row)
        self._rows += 1
        self._bytes += len(row["image"])
        full = self._rows >= self._shard_rows or self._bytes >= SHARD_BYTES
        if full or len(self._group) >= self._row_group_rows:
            self._flush_group()
        if full:
            self._close_shard()

    def write_field(self, data: bytes) -> None:
        """Store the field image (PNG or JPEG) beside the shards."""
        self._create(FIELD_NAMES[0] if data.startswith(b"\x89PNG") else FIELD_NAMES[1], data)

    def close(self) -> tuple[ShardRows, ...]:
        """Write the last shard; what all shards are called, and their rows."""
        self._flush_group()
        if self._rows:
            self._close_shard()
        return tuple(self._shards)

    def finish(self, counts: Mapping[str, int] | None = None) -> Survey:
        """Write the last shard, then ``survey.json``, which makes the set complete.

        Parameters
        ----------
        counts
            Further numbers worth keeping, such as sources turned away by reason.

        Raises
        ------
        InputError
            If another ingest finished a set in this folder meanwhile.
        """
        self.close()
        if not self._shards:
            self._close_shard()
        survey = Survey(
            name=self._name,
            source=self._source,
            criteria=self._criteria,
            cutouts=sum(shard.rows for shard in self._shards),
            counts=dict(counts or {}),
            shards=tuple(self._shards),
        )
        if not create_survey(self.uri, survey):
            raise InputError(f"{self.uri} was finished by another ingest meanwhile; choose another output")
        return survey

    def _open_shard(self) -> None:
        self._buffer = pa.BufferOutputStream()
        # Images are compressed already; statistics of them would only swell the footer.
        plain = [name for name in self._schema.names if name != "image"]
        self._parquet = pq.ParquetWriter(
            self._buffer,
            self._schema,
            compression={name: "zstd" if name != "image" else "none" for name in self._schema.names},
            use_dictionary=False,
            write_statistics=plain,
            write_page_checksum=True,
        )
        self._rows = self._bytes = 0

    def _flush_group(self) -> None:
        if self._group:
            columns = [
                pa.array([row.get(field.name) for row in self._group], type=field.type)
                for field in self._schema
            ]
            self._parquet.write_table(pa.Table.from_arrays(columns, schema=self._schema))
            self._group = []

    def _close_shard(self) -> None:
        self._parquet.close()
        name = f"{self._stem}-{len(self._shards):05d}.parquet"
        self._create(name, self._buffer.getvalue().to_pybytes())
        self._shards.append(ShardRows(name=name, rows=self._rows))
        self._open_shard()

    def _create(self, name: str, data: bytes) -> None:
        path = storage.join(self.uri, name)
        if not storage.create(path, data) and storage.read_bytes(path) != data:
            raise InputError(
                f"{path} is there already, from another ingest; remove {self.uri} or choose another output"
            )
