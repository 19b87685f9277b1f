"""Rows as big-endian records of fixed width: what FITS binary tables and VOTable's BINARY2 are made of."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from pipeline.catalogue.embedding import NUMBERS, VECTOR
from pipeline.catalogue.export.answers import ExportedRows
from pipeline.errors import InputError

_NUMBERS = {pa.float32(): ">f4", pa.float64(): ">f8", pa.int64(): ">i8"}
_VECTOR = (">i2", (NUMBERS,))
"""FITS has no integers of one byte with a sign that every reader knows."""


@dataclass(frozen=True)
class Text:
    """What a text column holds: its longest value in UTF-8 bytes, and whether all of it is ASCII."""

    width: int = 1
    ascii: bool = True


def measure_texts(source: ExportedRows) -> dict[str, Text]:
    """What the text columns hold, by name; one pass over them.

    Raises
    ------
    InputError
        If a text holds a NUL, where it would end for those who read records.
    """
    names = [field.name for field in source.schema if pa.types.is_string(field.type)]
    texts = dict.fromkeys(names, Text())
    for batch in source.batches(names):
        for name in names:
            values = batch[name].drop_null()
            if len(values):
                cut = values.filter(pc.match_substring(values, "\0"))
                if len(cut):
                    raise InputError(
                        f"{name} {cut[0].as_py()!r} holds a NUL, where FITS and VOTable end a text; use "
                        "--format parquet or csv"
                    )
                longest = pc.max(pc.binary_length(values)).as_py()
                plain = pc.all(pc.string_is_ascii(values)).as_py()
                texts[name] = Text(max(texts[name].width, longest), texts[name].ascii and plain)
    return texts


def record_type(schema: pa.Schema, widths: dict[str, int]) -> np.dtype[np.void]:
    """The record of a row.

    Parameters
    ----------
    widths
        Bytes of each text column.

    Raises
    ------
    InputError
        If a column is neither text nor a number that FITS and VOTable both know.
    """
    fields: list[tuple[Any, ...]] = []
    for field in schema:
        if field.type == VECTOR:
            fields.append((field.name, *_VECTOR))
            continue
        kind = f"S{widths[field.name]}" if field.name in widths else _NUMBERS.get(field.type)
        if kind is None:
            raise InputError(
                f"column {field.name!r} is of type {field.type}, neither text nor float; use --format parquet"
            )
        fields.append((field.name, kind))
    return np.dtype(fields)


def fill(records: NDArray[np.void], batch: pa.RecordBatch, encodings: dict[str, str]) -> None:
    """Set the columns of records; null is NaN in a column of floats and empty in one of text.

    Parameters
    ----------
    records : ndarray, shape (n,), of `record_type`
        May have other fields too.
    encodings
        Encoding of each text column.
    """
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        if name in encodings:
            records[name] = _encoded(column.fill_null("").to_pylist(), encodings[name])
        elif column.type == VECTOR:
            records[name] = column.flatten().to_numpy().reshape(-1, NUMBERS)
        else:
            records[name] = column.to_numpy(zero_copy_only=False)


def _encoded(texts: Iterable[str], encoding: str) -> list[bytes]:
    return [text.encode(encoding) for text in texts]
