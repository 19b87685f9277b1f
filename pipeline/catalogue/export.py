"""The catalogue in the forms that other programs read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.dataset as pa_dataset
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.catalogue.commit import open_catalogue, snapshot_files
from pipeline.errors import InputError
from pipeline.tree import DecisionTree

Format = Literal["csv", "kaggle", "parquet"]


def catalogue_dataset(uri: str, tree: DecisionTree) -> pa_dataset.Dataset:
    """The current snapshot of a catalogue.

    Raises
    ------
    InputError
        If there is no catalogue, or it has not the columns of `tree`.
    """
    table = open_catalogue(uri)
    if table is None:
        raise InputError(f"{uri} is not a catalogue; expected the folder `catalogue` that classify made")
    # Read through fsspec: through Delta's own file system, Arrow's reader threads now and then abort the
    # process as it ends (deltalake 1.6.6).
    fs, _ = storage.filesystem(uri)
    dataset = pa_dataset.dataset(
        [storage.filesystem(file.uri)[1] for file in snapshot_files(uri, table)],
        schema=pa.schema(table.schema().to_arrow()),
        format="parquet",
        filesystem=fs,
    )
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
) -> int:
    """Write the current snapshot of a catalogue to one file, in bounded memory.

    Parameters
    ----------
    form
        ``csv`` and ``parquet`` hold every column; ``kaggle`` the Galaxy Challenge's layout,
        ``GalaxyID, Class1.1, …``.
    progress
        Called with the number of rows just written.

    Returns
    -------
    int
        Rows written.
    """
    dataset = catalogue_dataset(uri, tree)
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
