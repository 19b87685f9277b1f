"""The table of objects that are to be cut out: FITS, VOTable, CSV or Parquet."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline import storage
from pipeline.cutouts.duplicates import duplicate_rows
from pipeline.cutouts.table import readable_ids
from pipeline.cutting.settings import PositionColumns
from pipeline.errors import InputError
from pipeline.identifiers import id_column

MISS_SCHEMA = pa.schema(
    [
        pa.field("row", pa.int64(), metadata={"description": "Row of the table of positions, from 0"}),
        ("object_id", pa.string()),
        ("ra", pa.float64()),
        ("dec", pa.float64()),
        ("reason", pa.string()),
        ("message", pa.string()),
    ]
)
"""Positions that no cutout was made of, and why."""


@dataclass(frozen=True)
class Positions:
    """Objects with a place and a size.

    Attributes
    ----------
    rows : ndarray, shape (n,), int64
        Rows of the table they are read from.
    ids : pyarrow.Array
        Strings, each once.
    ra, dec : ndarray, shape (n,), float64
        Degrees, ICRS.
    sizes : ndarray, shape (n,), float64, or None
        What the size column holds.
    total
        Rows of the table.
    misses : pyarrow.Table
        Rows that name no place, no size or no object of their own; with `MISS_SCHEMA`.
    """

    rows: NDArray[np.int64]
    ids: pa.Array
    ra: NDArray[np.float64]
    dec: NDArray[np.float64]
    sizes: NDArray[np.float64] | None
    total: int
    misses: pa.Table


def read_positions(uri: str, columns: PositionColumns, size: str | None) -> Positions:
    """Read a table of positions.

    Parameters
    ----------
    size
        The column with the size that frames are scaled by; None if they all have the same.

    Raises
    ------
    InputError
        If it can't be read, or lacks a column, or has no row that can be used.
    """
    data = storage.read_bytes(uri)
    with _readable(uri):
        names, read = _reader(data)
    wanted = _columns(uri, names, columns, size)
    with _readable(uri):
        table = read(wanted)
    del data, read
    ids = readable_ids(_text(table[wanted[0]]))
    ra, dec, *rest = (_numbers(table[name], f"{uri}: column {name!r}") for name in wanted[1:])
    return _sorted_out(uri, ids, ra, dec, rest[0] if rest else None, wanted)


def _columns(uri: str, names: list[str], columns: PositionColumns, size: str | None) -> list[str]:
    """What the table calls the id, ra, dec and the size if there is one."""
    spelt = {name.lower(): name for name in reversed(names)}
    object_id = spelt.get((columns.object_id or "").lower()) if columns.object_id else id_column(names)
    asked = {"ra": columns.ra, "dec": columns.dec} | ({} if size is None else {"size": size})
    actual = {key: spelt.get(name.lower()) for key, name in asked.items()}
    missing = [name for key, name in asked.items() if actual[key] is None]
    if object_id is None:
        missing.insert(0, columns.object_id or "object_id")
    if missing:
        raise InputError(
            f"{uri} has no column {missing[0]!r} (it has {', '.join(names[:20]) or 'none'}); expected "
            "object_id (or objid), ra, dec in degrees, and the column of frame.column; name others as "
            "columns.object_id, columns.ra, columns.dec"
        )
    return [str(object_id), *(str(name) for name in actual.values())]


Read = Callable[[list[str]], dict[str, Any]]
"""Reads columns by their names, of which the first is that of the ids."""


def _reader(data: bytes) -> tuple[list[str], Read]:
    """The names of a table's columns, and what reads some of them; its kind is told by its content."""
    if data.startswith((b"SIMPLE  =", b"\x1f\x8b")):
        return _fits_reader(data)
    if data.startswith(b"PAR1"):
        file = pq.ParquetFile(pa.BufferReader(data))
        return file.schema_arrow.names, lambda names: dict(_items(file.read(columns=names)))
    if b"<VOTABLE" in data[:4096]:
        return _votable_reader(data)
    return _csv_reader(data)


@contextlib.contextmanager
def _readable(uri: str) -> Iterator[None]:
    """Tell of whatever goes wrong in the block that the table can't be read."""
    try:
        yield
    except Exception as error:
        text = " ".join(str(error).split())[:200]
        raise InputError(
            f"{uri} can't be read as a table ({text}); expected FITS, VOTable, CSV or Parquet"
        ) from error


def _items(table: pa.Table) -> list[tuple[str, pa.ChunkedArray]]:
    return list(zip(table.column_names, table.columns, strict=True))


def _csv_reader(data: bytes) -> tuple[list[str], Read]:
    cells = pa.csv.ParseOptions(newlines_in_values=True)

    def read(names: list[str]) -> dict[str, Any]:
        # As numbers, ids would lose zeros in front, and digits beyond those of 64 bits.
        kinds = pa.csv.ConvertOptions(include_columns=names, column_types={names[0]: pa.string()})
        return dict(_items(pa.csv.read_csv(pa.BufferReader(data), None, cells, kinds)))

    with pa.csv.open_csv(pa.BufferReader(data), parse_options=cells) as first:
        return first.schema.names, read


def _fits_reader(data: bytes) -> tuple[list[str], Read]:
    from astropy.io import fits  # loads slowly

    hdus = fits.open(io.BytesIO(data), memmap=False)
    hdu = next((hdu for hdu in hdus if isinstance(hdu, fits.BinTableHDU | fits.TableHDU)), None)
    if hdu is None:
        raise ValueError("the FITS file has no table")
    return list(hdu.columns.names), lambda names: {name: hdu.data[name] for name in names}


def _votable_reader(data: bytes) -> tuple[list[str], Read]:
    from astropy.io.votable import parse_single_table  # loads slowly

    table = parse_single_table(io.BytesIO(data)).to_table(use_names_over_ids=True)
    return list(table.colnames), lambda names: {name: table[name] for name in names}


def _text(column: Any) -> pa.ChunkedArray:
    """Ids as Arrow has them; what isn't text is written as whole numbers are."""
    if isinstance(column, pa.ChunkedArray):
        return column if not pa.types.is_floating(column.type) else pc.cast(column, pa.string())
    values = np.ma.getdata(np.asanyarray(column))
    if values.dtype.kind == "S":
        values = np.char.decode(values, "utf-8", "backslashreplace")
    if values.dtype.kind in "iu":
        return pa.chunked_array([pa.array(values.astype(values.dtype.newbyteorder("=")))])
    return pa.chunked_array([pa.array([str(value).strip() for value in values], pa.string())])


def _numbers(column: Any, what: str) -> NDArray[np.float64]:
    """A column as float64; NaN where it holds none."""
    try:
        if isinstance(column, pa.ChunkedArray):
            return np.asarray(column.cast(pa.float64(), safe=False).to_numpy(), np.float64)
        return np.asarray(np.ma.filled(np.ma.asarray(column, np.float64), np.nan), np.float64)
    except (pa.ArrowException, ValueError, TypeError) as error:
        text = " ".join(str(error).split())[:200]
        raise InputError(f"{what} doesn't hold numbers ({text}); expected degrees or arcseconds") from error


def _sorted_out(
    uri: str,
    ids: pa.ChunkedArray,
    ra: NDArray[np.float64],
    dec: NDArray[np.float64],
    sizes: NDArray[np.float64] | None,
    names: list[str],
) -> Positions:
    """The rows that can be cut out, and the others with their reasons."""
    total = len(ids)
    reason = np.full(total, "", object)
    message = np.full(total, "", object)

    def miss(rows: NDArray[np.bool_], code: str, text: Callable[[int], str]) -> None:
        new = np.flatnonzero(rows & (reason == ""))
        reason[new] = code
        message[new] = [text(row) for row in new.tolist()]

    nameless = np.asarray(pc.equal(pc.fill_null(ids, ""), ""))
    miss(nameless, "bad_object_id", lambda row: f"{names[0]} is empty")
    inside = (ra >= 0) & (ra <= 360) & (dec >= -90) & (dec <= 90)
    miss(
        ~inside,
        "bad_position",
        lambda row: (
            f"{names[1]}, {names[2]} are {ra[row]}, {dec[row]}; expected degrees, 0 to 360, -90 to 90"
        ),
    )
    if sizes is not None:
        sound = (sizes > 0) & np.isfinite(sizes)
        miss(~sound, "bad_size", lambda row: f"{names[3]} is {sizes[row]}; expected a number above 0")
    repeated = np.zeros(total, bool)
    usable = np.flatnonzero(reason == "")
    (again,) = duplicate_rows([pa.chunked_array([ids.take(pa.array(usable)).combine_chunks()])])
    repeated[usable[list(again)]] = True
    miss(repeated, "duplicate_id", lambda row: f"{names[0]} {ids[row]} stands in an earlier row")
    good = np.flatnonzero(reason == "")
    if not len(good):
        what = f"the first of {total}: {message[0]}" if total else "it has no rows"
        raise InputError(
            f"{uri} has no row that can be used ({what}); expected an id, and a position in degrees, in each"
        )
    bad = np.flatnonzero(reason != "")
    misses = pa.table(
        [bad, ids.take(pa.array(bad)), ra[bad], dec[bad], reason[bad].tolist(), message[bad].tolist()],
        schema=MISS_SCHEMA,
    )
    return Positions(
        good.astype(np.int64),
        ids.take(pa.array(good)).combine_chunks(),
        ra[good],
        dec[good],
        None if sizes is None else sizes[good],
        total,
        misses,
    )
