"""CSV, the Galaxy Challenge's layout and Parquet: one file that Arrow writes batch by batch."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.catalogue.export.answers import ExportedRows
from pipeline.catalogue.export.votable import parquet_metadata
from pipeline.catalogue.snapshot import Progress

_ROW_GROUP_ROWS = 65_536


def write_csv(source: ExportedRows, out: str, progress: Progress) -> None:
    """Every column, as CSV; text that a spreadsheet could execute is guarded (see `storage.guarded`)."""
    _write_csv(source, out, progress, source.schema.names, source.schema.names)


def write_kaggle(source: ExportedRows, out: str, progress: Progress) -> None:
    """The Galaxy Challenge's layout: ``GalaxyID, Class1.1, …``."""
    columns = ["object_id", *source.tree.columns]
    _write_csv(source, out, progress, columns, ["GalaxyID", *source.tree.class_columns])


def _write_csv(
    source: ExportedRows, out: str, progress: Progress, columns: list[str], header: list[str]
) -> None:
    types = [source.schema.field(name).type for name in columns]
    schema = pa.schema(list(zip(header, types, strict=True)))
    options = pa_csv.WriteOptions(quoting_style="needed")
    with storage.open_new(out) as stream, pa_csv.CSVWriter(stream, schema, write_options=options) as writer:
        for batch in source.batches(columns, progress):
            writer.write_batch(pa.RecordBatch.from_arrays([*map(_guarded, batch.columns)], schema=schema))


def _guarded(column: pa.Array) -> pa.Array:
    if not pa.types.is_string(column.type):
        return column
    return pa.array([text and storage.guarded(text) for text in column.to_pylist()], column.type)


def write_parquet(source: ExportedRows, out: str, progress: Progress) -> None:
    """Every column, as Parquet; what the columns mean is in the fields' metadata, and as VOParquet."""
    schema = source.schema.with_metadata(parquet_metadata(source.schema, source.origin))
    with storage.open_new(out) as stream, pq.ParquetWriter(stream, schema, compression="zstd") as writer:
        waiting: list[pa.RecordBatch] = []
        for batch in source.batches(progress=progress):
            waiting.append(batch)
            if sum(map(len, waiting)) >= _ROW_GROUP_ROWS:
                writer.write_table(pa.Table.from_batches(waiting, schema))
                waiting = []
        if waiting:
            writer.write_table(pa.Table.from_batches(waiting, schema))
