"""A FITS binary table: the header first, then its records."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np

from pipeline import storage
from pipeline.catalogue.export.answers import ExportedRows
from pipeline.catalogue.export.provenance import SOFTWARE, TITLE, now
from pipeline.catalogue.export.records import Text, fill, measure_texts, record_type
from pipeline.catalogue.snapshot import Progress
from pipeline.errors import InputError

if TYPE_CHECKING:
    from astropy.io.fits import Header

_BLOCK_BYTES = 2880
_BESIDE = 65
"""Characters of a value and of its comment that a line of a header holds."""
_NAME = "MORPHOLOGY"


def write_fits(source: ExportedRows, out: str, progress: Progress) -> list[str]:
    """Every column, as the first extension of a FITS file.

    The header says the columns' units (``TUNITn``), their descriptions (``TCOMMn``) and UCDs (``TUCDn``) as
    TOPCAT reads them, and again as astropy's `Table` reads them. Null is NaN or an empty text. The primary
    header says where the rows come from.

    Returns
    -------
    list of str
        What its reader has to know: FITS texts are ASCII, and ids that aren't are written as UTF-8.

    Raises
    ------
    InputError
        If a column's name is not ASCII.
    """
    texts = measure_texts(source)
    dtype = record_type(source.schema, {name: text.width for name, text in texts.items()})
    primary, header = _headers(source, dtype)
    encodings = dict.fromkeys(texts, "utf-8")
    with storage.open_new(out) as stream:
        stream.write(primary.tostring().encode("ascii"))
        stream.write(header.tostring().encode("ascii"))
        for batch in source.batches(progress=progress):
            records = np.empty(len(batch), dtype)
            fill(records, batch, encodings)
            stream.write(records.tobytes())
        stream.write(bytes(-source.rows * dtype.itemsize % _BLOCK_BYTES))
    return _notes(texts)


def _headers(source: ExportedRows, dtype: np.dtype[np.void]) -> tuple[Header, Header]:
    """Headers of the primary array, which is empty, and of the table, as astropy writes them without rows."""
    from astropy.io import fits
    from astropy.table import Column, Table

    empty = Table(meta={"EXTNAME": _NAME})
    for field in source.schema:
        about = {key.decode(): value.decode() for key, value in (field.metadata or {}).items()}
        empty[field.name] = Column(
            np.empty(0, dtype[field.name]),
            unit=about.get("unit"),
            description=about.get("description"),
            meta={"ucd": about["ucd"]} if "ucd" in about else None,
        )
    written = io.BytesIO()
    try:
        empty.write(written, format="fits")
    except ValueError as error:
        raise InputError(
            f"FITS can't hold the columns of this tree ({error}); use --format votable"
        ) from error
    with fits.open(io.BytesIO(written.getvalue())) as file:
        primary, header = file[0].header, file[1].header
    _say_origin(primary, source)
    header["NAXIS2"] = source.rows
    for number, field in enumerate(source.schema, start=1):
        for key, keyword in ((b"description", "TCOMM"), (b"ucd", "TUCD")):
            if key in (field.metadata or {}):
                text = _ascii(field.metadata[key].decode())
                header.set(f"{keyword}{number}", text, after=_last_card(header, number))
    return primary, header


def _say_origin(header: Header, source: ExportedRows) -> None:
    header["ORIGIN"] = (_ascii(source.rights.creator or "tuningfork"), "Who made the file")
    header["DATE"] = (now(), "When the file was written (UTC)")
    for item in source.origin:
        value = _ascii(item.value) if isinstance(item.value, str) else item.value
        fits_in = len(str(value)) + len(item.meaning) <= _BESIDE
        header[item.keyword] = (value, item.meaning if fits_in else None)
    header.add_comment(f"{TITLE}: one row a {source.each}.")
    header.add_comment("What each column is stands in TCOMMn, TUNITn and TUCDn of the table.")
    header.add_history(f"Classified by run {source.snapshot.provenance.run or '(unknown)'}.")
    header.add_history(f"Written by the export of {SOFTWARE}.")


def _ascii(text: str) -> str:
    return text.encode("ascii", "replace").decode()


def _last_card(header: Header, number: int) -> str:
    """The last keyword there is yet about a column."""
    keywords = (f"{keyword}{number}" for keyword in ("TCOMM", "TUNIT", "TFORM"))
    return next(keyword for keyword in keywords if keyword in header)


def _notes(texts: dict[str, Text]) -> list[str]:
    beyond = [name for name, text in texts.items() if not text.ascii]
    if not beyond:
        return []
    return [
        f"{', '.join(beyond)}: FITS knows ASCII alone; these texts are written as UTF-8, which astropy "
        "reads and TOPCAT doesn't; --format votable holds any text"
    ]
