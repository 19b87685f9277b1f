"""Exports read back by the programs of their users, as columns of Python values; null is None."""

from __future__ import annotations

import io
import shutil
import subprocess
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.dataset as pa_dataset
import pyarrow.parquet as pq
from astropy.table import Table

Columns = dict[str, list[Any]]

STILTS = shutil.which("stilts")


def columns(table: pa.Table) -> Columns:
    """Columns of a table; NaN as null, since no catalogue tells them apart."""
    found = {}
    for name in table.schema.names:
        values = table[name].to_pylist()
        found[name] = [None if isinstance(v, float) and np.isnan(v) else v for v in values]
    return found


def read_astropy(path: str, form: str) -> Table:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return Table.read(path, format=form)


def astropy_columns(table: Table) -> Columns:
    """Columns of an astropy table, in which a null text is empty: of VOTable's it forgets the mask."""
    found = {}
    for name in table.colnames:
        values = table[name].tolist()
        found[name] = [None if value in ("", b"") else value for value in values]
    return found


def csv_columns(path: str, schema: pa.Schema) -> Columns:
    options = pa_csv.ConvertOptions(
        column_types={field.name: field.type for field in schema},
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
    )
    return columns(pa_csv.read_csv(path, convert_options=options))


def hats_columns(path: str) -> Columns:
    """Rows of all partitions and of those beside them, in the order of their input."""
    leaves = pa_dataset.dataset(str(Path(path) / "dataset"), exclude_invalid_files=False, partitioning=None)
    rows = [leaves.to_table().drop_columns("_healpix_29")]
    unplaced = Path(path) / "without_position.parquet"
    rows += [pq.read_table(unplaced)] if unplaced.exists() else []
    table = pa.concat_tables(rows)
    order = np.argsort([int(text.partition("#")[2]) for text in table["input"].to_pylist()])
    return columns(table.take(order))


def stilts(*words: str) -> str:
    """Standard output of a task of STILTS, whose reader is TOPCAT's."""
    assert STILTS is not None
    done = subprocess.run([STILTS, *words], capture_output=True, text=True, check=True, timeout=120)
    return done.stdout


def stilts_columns(path: str, form: str) -> pd.DataFrame:
    text = stilts("tpipe", f"in={path}", f"ifmt={form}", "ofmt=csv")
    return pd.read_csv(io.StringIO(text), keep_default_na=False, na_values={"ra": [""], "dec": [""]})
