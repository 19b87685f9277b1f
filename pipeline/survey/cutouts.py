"""The canonical cutout table: what a shard of a cutout set holds."""

from __future__ import annotations

import hashlib
import math
import struct
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from pipeline.errors import InputError

CUTOUT_SCHEMA = pa.schema(
    [
        pa.field("object_id", pa.string(), metadata={"description": "Unique in the whole set"}),
        pa.field("ra", pa.float64(), metadata={"unit": "deg", "description": "Right ascension, ICRS"}),
        pa.field("dec", pa.float64(), metadata={"unit": "deg", "description": "Declination, ICRS"}),
        pa.field("x", pa.float64(), metadata={"unit": "pix", "description": "Column in the field, from 0"}),
        pa.field("y", pa.float64(), metadata={"unit": "pix", "description": "Row in the field, from 0"}),
        pa.field("radius", pa.float64(), metadata={"unit": "pix", "description": "Petrosian 90 % radius"}),
        pa.field("image", pa.binary(), metadata={"description": "JPEG or PNG"}),
        pa.field(
            "frame_pixels",
            pa.float64(),
            metadata={"unit": "pix", "description": "Image pixels that the galaxy's frame covers"},
        ),
        pa.field("center_x", pa.float64(), metadata={"unit": "pix", "description": "Column in the image"}),
        pa.field("center_y", pa.float64(), metadata={"unit": "pix", "description": "Row in the image"}),
    ]
)
"""Columns of a cutout shard; all but ``object_id`` and ``image`` may be null or absent.

Where ``frame_pixels`` is null the frame is the image's larger side; where ``center_x, center_y`` are null the
galaxy is in its middle. A NaN in ``ra`` or ``dec`` is a missing position, as null is; any other value that
can't be one (infinite, beyond the sphere) is an error of the row, never dropped in silence.
"""

REQUIRED_COLUMNS = ("object_id", "image")


def check_columns(schema: pa.Schema, shard: str) -> None:
    """Check that a shard has what it needs.

    Raises
    ------
    InputError
        Naming the first column that is missing or can't be read as its type.
    """
    for field in CUTOUT_SCHEMA:
        index = schema.get_field_index(field.name)
        if index < 0:
            if field.name in REQUIRED_COLUMNS:
                raise InputError(
                    f"{shard} has no column {field.name!r} (it has {', '.join(schema.names) or 'none'}); "
                    "make a cutout set with `tuningfork ingest`"
                )
            continue
        found = schema.field(index).type
        if not _fits(found, field.type):
            raise InputError(f"{shard}: column {field.name!r} is {found}; expected {field.type}")


def conform(table: pa.Table) -> pa.Table:
    r"""The table with just the canonical columns and types; absent ones are null.

    Bytes of an ``object_id`` that are not UTF-8 stand as ``\xNN``; `undecodable_ids` tells which rows.
    """
    columns = [
        _cast(table[field.name], field.type)
        if field.name in table.column_names
        else pa.nulls(len(table), field.type)
        for field in CUTOUT_SCHEMA
    ]
    return pa.Table.from_arrays(columns, schema=CUTOUT_SCHEMA)


def content_digest(cutout: Mapping[str, Any]) -> str:
    """What a refresh compares: a digest of all of a row but its ``object_id`` (BLAKE2b, 128 bits, in hex).

    Parameters
    ----------
    cutout
        A row of `CUTOUT_SCHEMA`.
    """
    numbers = [cutout[field.name] for field in CUTOUT_SCHEMA if pa.types.is_floating(field.type)]
    place = struct.pack(f"<{len(numbers)}d", *(math.nan if value is None else value for value in numbers))
    return hashlib.blake2b(place + (cutout["image"] or b""), digest_size=16).hexdigest()


def undecodable_ids(ids: pa.ChunkedArray) -> set[int]:
    """Offsets of the ids that are not UTF-8."""
    if not _is_text(ids.type):
        return set()
    plain = _plain(ids)
    try:
        plain.validate(full=True)
    except pa.ArrowInvalid:
        return {
            row for row, value in enumerate(_as_bytes(plain)) if value is not None and not _is_utf8(value)
        }
    return set()


def readable_ids(ids: pa.ChunkedArray) -> pa.ChunkedArray:
    r"""Ids as valid strings; bytes that are not UTF-8 stand as ``\xNN``."""
    if not undecodable_ids(ids):
        return _plain(ids).cast(pa.string())
    texts = [
        None if value is None else value.decode("utf-8", "backslashreplace")
        for value in _as_bytes(_plain(ids))
    ]
    return pa.chunked_array([texts], pa.string())


def _cast(column: pa.ChunkedArray, wanted: pa.DataType) -> pa.ChunkedArray:
    if pa.types.is_string(wanted):
        return readable_ids(column)
    # Not "safe": an integer that float64 rounds is still a number, and no reason to stop a run.
    return _plain(column).cast(wanted, safe=not pa.types.is_floating(wanted))


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def _as_bytes(texts: pa.ChunkedArray) -> list[bytes | None]:
    values: list[bytes | None] = texts.cast(pa.large_binary()).to_pylist()
    return values


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True


def _is_text(found: pa.DataType) -> bool:
    found = found.value_type if pa.types.is_dictionary(found) else found
    return bool(
        pa.types.is_string(found) or pa.types.is_large_string(found) or pa.types.is_string_view(found)
    )


def _fits(found: pa.DataType, wanted: pa.DataType) -> bool:
    if pa.types.is_dictionary(found):
        found = found.value_type
    if pa.types.is_null(found) or found.equals(wanted):
        return True
    if pa.types.is_string(wanted):
        return bool(_is_text(found) or pa.types.is_integer(found))
    if pa.types.is_binary(wanted):
        return bool(
            pa.types.is_large_binary(found)
            or pa.types.is_fixed_size_binary(found)
            or pa.types.is_binary_view(found)
        )
    return bool(pa.types.is_integer(found) or pa.types.is_floating(found))
