"""The canonical cutout table: what a shard of a cutout set holds."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

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


SIZE = "size"
"""A further column, float64: the radius or width by which a survey scales its frames (see `TableLayout`)."""


@dataclass(frozen=True)
class TableLayout:
    """How a survey's table names what a cutout table holds.

    Attributes
    ----------
    names
        The survey's name for a column of `CUTOUT_SCHEMA`, where it's another or must be there.
    size
        The survey's name for `SIZE`; None if frames aren't scaled by a column.
    image_parts
        What is read of an image that `is_banded`.
    advice
        What to do about a column that isn't there or is of another type.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    size: str | None = None
    image_parts: tuple[str, ...] = ()
    advice: str = "make a cutout set with `tuningfork ingest`"

    def actual(self, name: str) -> str:
        """The survey's own name for a column of the cutout table."""
        return self.size if name == SIZE and self.size else self.names.get(name, name)

    @property
    def schema(self) -> pa.Schema:
        """Names and types of the cutout table's columns that are read, `SIZE` included if it is in use."""
        return CUTOUT_SCHEMA if self.size is None else CUTOUT_SCHEMA.append(pa.field(SIZE, pa.float64()))

    @property
    def required(self) -> set[str]:
        """Names, as the cutout table has them, of the columns that must be there."""
        return {*REQUIRED_COLUMNS, *self.names} | ({SIZE} if self.size else set())


CUTOUTS = TableLayout()
"""The layout of the cutout table itself, whose columns have their own names."""


def check_columns(schema: pa.Schema, shard: str, layout: TableLayout = CUTOUTS) -> None:
    """Check that a shard has what it needs.

    Raises
    ------
    InputError
        Naming the first column that is missing or can't be read as its type.
    """
    for column in layout.schema:
        name = layout.actual(column.name)
        index = schema.get_field_index(name)
        if index < 0:
            if column.name in layout.required:
                raise InputError(
                    f"{shard} has no column {name!r} (it has {', '.join(schema.names) or 'none'}); "
                    f"{layout.advice}"
                )
            continue
        stored = schema.field(index).type
        if not (_fits(stored, column.type) or (column.name == "image" and is_banded(stored))):
            raise InputError(f"{shard}: column {name!r} is {stored}; expected {column.type}; {layout.advice}")


def is_banded(stored: pa.DataType) -> bool:
    """Whether a column's values are a galaxy's bands: a list of structs or a struct of lists."""
    return bool(
        pa.types.is_struct(stored) or (pa.types.is_list(stored) and pa.types.is_struct(stored.value_type))
    )


def conform(table: pa.Table, layout: TableLayout = CUTOUTS) -> pa.Table:
    r"""The table with just the canonical columns and types; absent ones are null.

    Bytes of an ``object_id`` that are not UTF-8 stand as ``\xNN``; `undecodable_ids` tells which rows. An
    image that `is_banded` keeps its type.
    """
    columns, schema = [], layout.schema
    for index, column in enumerate(layout.schema):
        name = layout.actual(column.name)
        if name not in table.column_names:
            columns.append(pa.nulls(len(table), column.type))
        elif is_banded(table[name].type):
            columns.append(table[name])
            schema = schema.set(index, pa.field(column.name, table[name].type))
        else:
            columns.append(_cast(table[name], column.type))
    return pa.Table.from_arrays(columns, schema=schema)


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


def _cast(column: pa.ChunkedArray, target: pa.DataType) -> pa.ChunkedArray:
    if pa.types.is_string(target):
        return readable_ids(column)
    # Not "safe": an integer that float64 rounds is still a number, and no reason to stop a run.
    return _plain(column).cast(target, safe=not pa.types.is_floating(target))


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


def _is_text(stored: pa.DataType) -> bool:
    stored = stored.value_type if pa.types.is_dictionary(stored) else stored
    return bool(
        pa.types.is_string(stored) or pa.types.is_large_string(stored) or pa.types.is_string_view(stored)
    )


def _fits(stored: pa.DataType, expected: pa.DataType) -> bool:
    if pa.types.is_dictionary(stored):
        stored = stored.value_type
    if pa.types.is_null(stored) or stored.equals(expected):
        return True
    if pa.types.is_string(expected):
        return bool(_is_text(stored) or pa.types.is_integer(stored))
    if pa.types.is_binary(expected):
        return bool(
            pa.types.is_large_binary(stored)
            or pa.types.is_fixed_size_binary(stored)
            or pa.types.is_binary_view(stored)
        )
    return bool(pa.types.is_integer(stored) or pa.types.is_floating(stored))


def nan_to_none(value: float | None) -> float | None:
    """None for NaN, which is how many tables write that a value is missing."""
    return None if value is None or math.isnan(value) else value
