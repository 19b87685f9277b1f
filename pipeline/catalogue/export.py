"""The catalogue in the forms that other programs read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.dataset as pa_dataset
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.catalogue.snapshot import open_snapshot, snapshot_dataset
from pipeline.errors import InputError
from pipeline.tree import DecisionTree

Format = Literal["csv", "kaggle", "parquet"]


def catalogue_dataset(uri: str, tree: DecisionTree, as_of: str | None = None) -> pa_dataset.Dataset:
    """The current snapshot of a catalogue, or an older one (see `open_snapshot`).

    Raises
    ------
    InputError
        If there is no catalogue, or it has not the columns of `tree`.
    """
    dataset = snapshot_dataset(uri, open_snapshot(uri, as_of))
    missing = [name for name in ("object_id", *tree.columns) if name not in dataset.schema.names]
    if missing:
        raise InputError(f"{uri} lacks {len(missing)} columns of tree {tree.name!r}, first {missing[0]!r}")
    return dataset


def export_catalogue(
    uri: str,
    out: str,
    tree: DecisionTree,
    form: Format,
    progress: Callable[[int], None] = lambda rows: None,
    as_of: str | None = None,
) -> int:
    """Write a snapshot of a catalogue to one file, in bounded memory.

    Parameters
    ----------
    form
        ``csv`` and ``parquet`` hold every column; ``kaggle`` the Galaxy Challenge's layout,
        ``GalaxyID, Class1.1, …``.
    progress
        Called with the number of rows just written.
    as_of
        See `open_snapshot`.

    Returns
    -------
    int
        Rows written.
    """
    dataset = catalogue_dataset(uri, tree, as_of)
    if storage.exists(out):
        raise InputError(f"{out} exists already; name a new file or remove it first")
    names = ["object_id", *tree.columns] if form == "kaggle" else dataset.schema.names
    schema = pa.schema([dataset.schema.field(name) for name in names])
    if form == "kaggle":
        schema = pa.schema(
            [
                pa.field(name, field.type)
                for name, field in zip(["GalaxyID", *tree.class_columns], schema, strict=True)
            ]
        )
    rows = 0
    with storage.open_new(out) as stream, _writer(stream, schema, form) as writer:
        for batch in dataset.to_batches(columns=names):
            writer.write_batch(pa.RecordBatch.from_arrays(batch.columns, schema=schema))
            rows += len(batch)
            progress(len(batch))
    return rows


def _writer(stream: Any, schema: pa.Schema, form: Format) -> Any:
    if form == "parquet":
        return pq.ParquetWriter(stream, schema, compression="zstd")
    return pa_csv.CSVWriter(stream, schema, write_options=pa_csv.WriteOptions(quoting_style="needed"))
