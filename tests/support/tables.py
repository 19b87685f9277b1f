"""Reading catalogues in tests."""

from __future__ import annotations

import io

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable

from pipeline import storage
from pipeline.catalogue.delta import snapshot_files


def snapshot(catalogue: str, version: int | None = None) -> pa.Table:
    """A snapshot of a catalogue, read from its files."""
    table = DeltaTable(catalogue, version=version, storage_options=storage.delta_options(catalogue))
    files = snapshot_files(catalogue, table)
    if not files:
        return pa.schema(table.schema().to_arrow()).empty_table()
    return pa.concat_tables([pq.read_table(io.BytesIO(storage.read_bytes(file.uri))) for file in files])
