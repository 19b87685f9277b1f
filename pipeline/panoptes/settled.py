"""Galaxies that nobody need look at any more."""

from __future__ import annotations

import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from pipeline import storage
from pipeline.errors import InputError
from pipeline.identifiers import id_column


def read_settled(uri: str) -> set[str]:
    """Ids in a table of galaxies, such as the ``settled.parquet`` of `triage`, or a CSV file.

    Raises
    ------
    InputError
        If it can't be read, or has no column of ids.
    """
    fs, path = storage.filesystem(uri)
    with storage.explained("read", uri), fs.open(path, "rb") as stream:
        if uri.endswith(".parquet"):
            with pq.ParquetFile(stream) as file:
                column = _column(uri, file.schema_arrow.names)
                ids = file.read(columns=[column])[column].to_pylist()
        else:
            names = stream.readline().decode("utf-8-sig", errors="replace").strip("\r\n").split(",")
            column = _column(uri, names)
            stream.seek(0)
            as_text = pa_csv.ConvertOptions(include_columns=[column], column_types={column: "string"})
            cells = pa_csv.ParseOptions(newlines_in_values=True)
            ids = pa_csv.read_csv(stream, None, cells, as_text)[column].to_pylist()
    return {storage.unguarded(str(one)) for one in ids}


def _column(uri: str, names: list[str]) -> str:
    column = id_column(names)
    if column is None:
        raise InputError(f"{uri} has columns {', '.join(names)}; expected object_id among them")
    return column
