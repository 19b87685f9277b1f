"""VOTable, its records streamed as BINARY2, and the VOTable header that Parquet files carry."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Sequence
from typing import IO
from xml.sax.saxutils import escape

import numpy as np
import pyarrow as pa

from pipeline import storage
from pipeline.catalogue.embedding import NUMBERS, VECTOR
from pipeline.catalogue.export.answers import ExportedRows
from pipeline.catalogue.export.provenance import Item, by_name
from pipeline.catalogue.export.records import Text, fill, measure_texts, record_type
from pipeline.catalogue.snapshot import Progress

_NAME = "morphology"
_NUMBERS = {pa.float32(): "float", pa.float64(): "double", pa.int64(): "long"}
_SKY = "sky"  # ID of the coordinate system
_UTF16 = "utf-16-be"
_NULLS = "null columns"  # no column has a name with a space
_END = "</TABLE>"


def write_votable(source: ExportedRows, out: str, progress: Progress) -> None:
    """Every column, as a VOTable whose rows are BINARY2 (VOTable 1.4, section 5.4): nulls are told by a mask.

    Text beyond ASCII makes its column one of ``unicodeChar``. astropy writes VOTables from memory alone, so
    only the header is its own.
    """
    texts = measure_texts(source)
    encodings = {name: "ascii" if text.ascii else _UTF16 for name, text in texts.items()}
    # A text's UTF-16 has at most two bytes for each one of its UTF-8.
    widths = {name: text.width * (1 if text.ascii else 2) for name, text in texts.items()}
    columns = record_type(source.schema, widths)
    mask = (_NULLS, "u1", (-(-len(source.schema) // 8),))
    dtype = np.dtype([mask, *((name, columns[name]) for name in columns.names or ())])
    head, _, tail = header_xml(source.schema, source.origin, texts, source.rows).partition(_END)
    with storage.open_new(out) as stream:
        stream.write(f'{head}<DATA>\n<BINARY2>\n<STREAM encoding="base64">\n'.encode())
        body = _Base64(stream)
        for batch in source.batches(progress=progress):
            records = np.empty(len(batch), dtype)
            fill(records, batch, encodings)
            nulls = [column.is_null().to_numpy(zero_copy_only=False) for column in batch.columns]
            records[_NULLS] = np.packbits(np.stack(nulls, axis=1), axis=1)
            body.write(records.tobytes())
        body.close()
        stream.write(f"</STREAM>\n</BINARY2>\n</DATA>\n{_END}{tail}".encode())


def parquet_metadata(schema: pa.Schema, items: Sequence[Item] = ()) -> dict[str, str]:
    """Where the rows of a Parquet file come from, and what its columns are.

    The latter by the VOParquet convention, which TOPCAT and astropy read: a VOTable without data.
    """
    return {
        "IVOA.VOTable-Parquet.version": "1.0",
        "IVOA.VOTable-Parquet.content": header_xml(schema, items),
        **{f"tuningfork.{name}": value for name, value in by_name(items).items()},
    }


def header_xml(
    schema: pa.Schema,
    items: Sequence[Item] = (),
    texts: dict[str, Text] | None = None,
    rows: int | None = None,
) -> str:
    """A VOTable without data: where the rows come from, and names, types, units, UCDs and descriptions.

    Parameters
    ----------
    items
        Where the rows come from (see `pipeline.catalogue.export.provenance`).
    texts
        What the text columns hold; without it, any text of any length.
    rows
        Number of rows of the table, where it is known.
    """
    from astropy.io.votable.tree import CooSys, Field, Info, Resource, TableElement, VOTableFile

    votable = VOTableFile()
    resource = Resource()
    for item in items:
        info = Info(name=item.name, value=str(item.value))
        info.ID = None  # astropy gives its name, and a document may have each ID but once
        resource.infos.append(info)
    resource.coordinate_systems.append(CooSys(ID=_SKY, system="ICRS"))
    table = TableElement(votable, name=_NAME, nrows=rows)
    votable.resources.append(resource)
    resource.tables.append(table)
    descriptions: dict[str, str] = {}
    for column in schema:
        about = {key.decode(): value.decode() for key, value in (column.metadata or {}).items()}
        kind = {"datatype": _NUMBERS.get(column.type, "unicodeChar")}
        if column.type == VECTOR:
            kind = {"datatype": "short", "arraysize": str(NUMBERS)}
        elif column.type not in _NUMBERS:
            text = texts[column.name] if texts else None
            kind["datatype"] = "char" if text and text.ascii else "unicodeChar"
            kind["arraysize"] = str(text.width) if text else "*"
        field = Field(votable, name=column.name, unit=about.get("unit"), ucd=about.get("ucd"), **kind)
        if column.name in ("ra", "dec"):
            field.ref = _SKY
        if "description" in about:
            field.description = f"__DESCRIPTION_{len(descriptions)}__"
            descriptions[field.description] = escape(about["description"])
        table.fields.append(field)
    written = io.BytesIO()
    votable.to_xml(written)
    # Put in here, since astropy would break their lines at hyphens.
    return re.sub(
        r"__DESCRIPTION_\d+__", lambda match: descriptions[match[0]], written.getvalue().decode("utf-8")
    )


class _Base64:
    """Bytes to a stream in base64, whole groups of three at a time."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._rest = b""

    def write(self, data: bytes) -> None:
        data = self._rest + data
        encodable = len(data) - len(data) % 3
        self._rest = data[encodable:]
        self._stream.write(base64.b64encode(memoryview(data)[:encodable]) + b"\n")

    def close(self) -> None:
        self._stream.write(base64.b64encode(self._rest) + b"\n")
        self._rest = b""
