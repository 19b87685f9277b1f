"""The catalogue in the forms that other programs read, in memory that doesn't grow with its rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from pipeline import storage
from pipeline.catalogue.clumps import CLUMPS
from pipeline.catalogue.embedding import EMBEDDING, VECTOR
from pipeline.catalogue.export.answers import CUMULATIVE, Answers, ExportedRows
from pipeline.catalogue.export.provenance import Rights
from pipeline.catalogue.region import Box, Cone, Pixels, Region, parse_box, parse_cone, parse_pixels
from pipeline.catalogue.snapshot import Progress, Snapshot, catalogue_dataset, open_snapshot, silent
from pipeline.errors import InputError
from pipeline.tree import DecisionTree

__all__ = [
    "Answers",
    "Box",
    "Cone",
    "Exported",
    "Format",
    "Pixels",
    "Region",
    "Rights",
    "Snapshot",
    "catalogue_dataset",
    "export_catalogue",
    "export_snapshot",
    "for_form",
    "form_by_ending",
    "open_snapshot",
    "parse_box",
    "parse_cone",
    "parse_pixels",
    "write_rows",
]

NOTHING_SAID = Rights()

Format = Literal["csv", "kaggle", "parquet", "fits", "votable", "hats"]

_ENDINGS: dict[str, Format] = {".parquet": "parquet", ".fits": "fits", ".vot": "votable", ".xml": "votable"}


def form_by_ending(out: str) -> Format:
    """The format that a file's name tells; CSV where it tells none."""
    return next((form for ending, form in _ENDINGS.items() if out.lower().endswith(ending)), "csv")


@dataclass(frozen=True)
class Exported:
    """What an export wrote.

    Attributes
    ----------
    rows
        Galaxies, those that a HATS catalogue has beside it included.
    notes
        What the reader of the export has to know, one sentence each.
    """

    rows: int
    notes: tuple[str, ...] = ()


def export_catalogue(
    uri: str,
    out: str,
    tree: DecisionTree,
    form: Format,
    progress: Progress = silent,
    region: Region | None = None,
    partition_rows: int | None = None,
    answers: Answers = CUMULATIVE,
    rights: Rights = NOTHING_SAID,
) -> Exported:
    """Write the current snapshot of a catalogue, or a region of it, to one file or, as HATS, to one folder.

    Nothing appears under `out` before it is whole (but see `storage.new_folder` for object stores).

    Parameters
    ----------
    form
        ``parquet``, ``fits`` and ``hats`` hold every column; ``csv`` and ``votable`` all but embeddings, and
        ``parquet`` and ``hats`` alone clumps;
        ``kaggle`` the Galaxy Challenge's layout, ``GalaxyID, Class1.1, …``.
    progress
        Called with the number of rows of the snapshot just passed.
    region
        Part of the sky; galaxies without a position are in none.
    partition_rows
        Rows of a partition of ``hats`` at most.
    answers
        What it says of the answers; ``kaggle`` has columns of its own.
    rights
        Whose catalogue it is, and its licence, for the forms that say where they come from: all but ``csv``
        and ``kaggle``.

    Raises
    ------
    InputError
        If there is no catalogue, `out` exists, or the format can't hold the catalogue.
    """
    return export_snapshot(
        open_snapshot(uri, tree, region), out, tree, form, progress, partition_rows, answers, rights
    )


def export_snapshot(
    snapshot: Snapshot,
    out: str,
    tree: DecisionTree,
    form: Format,
    progress: Progress = silent,
    partition_rows: int | None = None,
    answers: Answers = CUMULATIVE,
    rights: Rights = NOTHING_SAID,
) -> Exported:
    """Write a snapshot; see `export_catalogue`."""
    if storage.exists(out):
        raise InputError(f"{out} exists already; name a new one or remove it first")
    snapshot, left_out = for_form(snapshot, form)
    rows = ExportedRows(snapshot, tree, CUMULATIVE if form == "kaggle" else answers, rights)
    try:
        notes = left_out + write_rows(rows, out, form, progress, partition_rows)
    except OSError:
        with storage.explained("write", out):
            raise
    return Exported(snapshot.rows, tuple(notes))


def for_form(snapshot: Snapshot, form: Format) -> tuple[Snapshot, list[str]]:
    """The snapshot with the columns that a form holds, and what is left out; embeddings as vectors."""
    if form == "kaggle":
        return snapshot, []
    notes: list[str] = []
    if CLUMPS in snapshot.schema.names and form not in ("parquet", "hats"):
        notes = [f"{CLUMPS} is left out: `tuningfork clumps` writes them, one row a clump"]
        snapshot = replace(snapshot, schema=snapshot.schema.remove(snapshot.schema.get_field_index(CLUMPS)))
    place = snapshot.schema.get_field_index(EMBEDDING)
    if place < 0:
        return snapshot, notes
    if form in ("csv", "votable"):
        notes.append(f"{EMBEDDING} is left out: --format parquet, hats or fits holds vectors")
        return replace(snapshot, schema=snapshot.schema.remove(place)), notes
    vectors = snapshot.schema.field(place).with_type(VECTOR)
    return replace(snapshot, schema=snapshot.schema.set(place, vectors)), notes


def write_rows(
    rows: ExportedRows, out: str, form: Format, progress: Progress, partition_rows: int | None = None
) -> list[str]:
    """Write rows in a format; what their reader has to know, one sentence each."""
    # Only what is asked for is loaded: astropy and hats take seconds.
    if form == "hats":
        from pipeline.catalogue.export.hats import PARTITION_ROWS, write_hats

        return write_hats(rows, out, progress, partition_rows or PARTITION_ROWS)
    if form == "fits":
        from pipeline.catalogue.export.fits import write_fits

        return write_fits(rows, out, progress)
    from pipeline.catalogue.export import flat, votable

    if form == "kaggle":
        flat.write_kaggle(rows, out, progress)
    else:
        {"csv": flat.write_csv, "parquet": flat.write_parquet, "votable": votable.write_votable}[form](
            rows, out, progress
        )
    return []
