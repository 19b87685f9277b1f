"""Reading catalogues in tests."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable


def snapshot(catalogue: str, version: int | None = None) -> pa.Table:
    """A snapshot of a catalogue, read from its files."""
    table = DeltaTable(catalogue, version=version)
    files = table.file_uris()
    if not files:
        return pa.schema(table.schema().to_arrow()).empty_table()
    return pa.concat_tables([pq.read_table(file) for file in files])
