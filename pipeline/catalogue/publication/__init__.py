"""A catalogue as a folder that one can put on the web: tables, HATS, HiPS, coverage, and how to cite it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Literal

from pipeline.catalogue.export import export_snapshot, for_form
from pipeline.catalogue.export.answers import ExportedRows
from pipeline.catalogue.export.hats import PARTITION_ROWS, check_installed
from pipeline.catalogue.export.provenance import SOFTWARE, Rights, now
from pipeline.catalogue.publication.about import About, Creator
from pipeline.catalogue.publication.census import Census, take_census
from pipeline.catalogue.publication.citing import citation_cff, datacite_json
from pipeline.catalogue.publication.coverage import coverage, publish_coverage, view_of
from pipeline.catalogue.publication.editions import (
    VERSION,
    Edition,
    check_folder,
    make_current,
    read_current,
    read_manifest,
)
from pipeline.catalogue.publication.hips_metadata import publish_hips_metadata
from pipeline.catalogue.publication.partitions import publish_partitions
from pipeline.catalogue.publication.progressive import publish_tiles, rank_column
from pipeline.catalogue.publication.readme import Contents, readme
from pipeline.catalogue.snapshot import Progress, Snapshot
from pipeline.digest import digest
from pipeline.errors import InputError
from pipeline.protocol.records.lease import hold_lease
from pipeline.tree import DecisionTree

__all__ = ["About", "Creator", "Published", "Shape", "publish"]

Stage = Callable[[str, int], AbstractContextManager[Progress]]
"""Shows how far a stage of so many galaxies is; it has a name."""

_FILES: dict[Literal["fits", "votable"], str] = {"fits": "galaxies.fits", "votable": "galaxies.vot"}
_STALE = "Column `stale` says of galaxies that their source has no longer what became of them there."


@dataclass(frozen=True)
class Shape:
    """In which forms a catalogue is published.

    Attributes
    ----------
    tables
        Which whole tables it has beside HATS and HiPS; each is written anew when any galaxy changes.
    partition_rows
        Galaxies of a HATS partition at most.
    coverage_order
        HEALPix order of the cells of the coverage.
    rank
        Column by which galaxies are ranked in the progressive catalogue.
    """

    tables: tuple[Literal["fits", "votable"], ...] = ("fits", "votable")
    partition_rows: int = PARTITION_ROWS
    coverage_order: int = 10
    rank: str | None = None


@dataclass(frozen=True)
class Published:
    """What was published.

    Attributes
    ----------
    edition
        Its name; its folder lies in ``editions``.
    galaxies, unplaced
        How many it has, and how many of them have no position.
    files, written, written_bytes
        How many files it has, and what of them this call wrote.
    notes
        What its readers have to know, one sentence each.
    """

    edition: str
    galaxies: int
    unplaced: int
    files: int
    written: int = 0
    written_bytes: int = 0
    notes: tuple[str, ...] = field(default=())


def publish(
    snapshot: Snapshot, out: str, tree: DecisionTree, about: About, stage: Stage, shape: Shape | None = None
) -> Published:
    """Make a snapshot the current edition of a publication.

    Of the edition before, files are taken over whose galaxies haven't changed. Till the new one is whole, and
    counts in one step, the one before does; a call that was stopped is continued by the next one.

    Raises
    ------
    InputError
        If no galaxy has a position, `out` holds other files, or a setting doesn't fit the catalogue.
    HeldError
        If another call is publishing there.
    """
    shape = shape or Shape()
    check_installed()
    check_folder(out)
    snapshot, _ = for_form(snapshot, "hats")
    rights = Rights(about.creators_in_words, about.licence)
    source = ExportedRows(snapshot, tree, rights=rights)
    rank = rank_column(source, shape.rank)
    with hold_lease(out, "publish") as lease:
        with stage("Counting", snapshot.all_rows) as progress:
            census = take_census(source, shape.coverage_order, progress)
        if not census.placed:
            raise InputError(
                f"none of the {source.rows:,} galaxies has a position, by which a publication is ordered; "
                "give positions= to ingest and classify again"
            )
        name = _edition_name(source, census, about, shape, rank)
        manifest = read_manifest(out, name)
        done = Published(name, source.rows, census.unplaced, len(manifest.files) if manifest else 0)
        if manifest is None:
            before = read_current(out)
            edition = Edition(out, name, read_manifest(out, before.edition) if before else None)
            notes = _fill(edition, source, census, about, shape, rank, stage)
            written, size = edition.written, edition.written_bytes
            done = Published(
                name, source.rows, census.unplaced, len(edition.files), written, size, tuple(notes)
            )
        lease.confirm()
        make_current(out, name)
    return done


def _edition_name(source: ExportedRows, census: Census, about: About, shape: Shape, rank: str) -> str:
    """The catalogue's version, and a digest of all that decides the files of the edition."""
    content = digest(
        VERSION,
        SOFTWARE,
        census.digest,
        source.schema.to_string(truncate_metadata=False),
        [[item.keyword, item.value] for item in source.origin],
        about.model_dump(),
        [*shape.tables, shape.partition_rows, shape.coverage_order, rank],
    )
    version = source.snapshot.provenance.version
    return content[:12] if version is None else f"{version}-{content[:12]}"


def _fill(
    edition: Edition,
    source: ExportedRows,
    census: Census,
    about: About,
    shape: Shape,
    rank: str,
    stage: Stage,
) -> list[str]:
    """Write all files of an edition, its manifest last; what its readers have to know."""
    time = now()
    version = about.version or str(source.snapshot.provenance.version or 0)
    notes = _write_tables(edition, source, census, shape.tables, stage)
    with stage("Partitions", source.all_rows) as progress:
        partitions = publish_partitions(source, census, edition, shape.partition_rows, progress)
    with stage("Tiles", census.placed) as progress:
        made = publish_tiles(source, partitions, edition, rank, progress)
    publish_hips_metadata(source, about, census, made, edition, time)
    publish_coverage(census.cells, edition)
    notes.append(_STALE)
    if census.unplaced:
        notes.append(
            f"{census.unplaced:,} galaxies have no position: the tables have them, and "
            "`hats/without_position.parquet`; partitions, tiles and coverage don't."
        )
    contents = Contents(
        galaxies=source.rows,
        unplaced=census.unplaced,
        sky_fraction=coverage(census.cells).sky_fraction,
        coverage_order=shape.coverage_order,
        tables=shape.tables,
        rank=rank,
        version=version,
        date=time[:10],
        centre=view_of(census.cells),
        notes=notes,
    )
    size = sum(file.size for file in edition.files.values())
    edition.put("README.md", readme(source, about, contents).encode())
    edition.put("CITATION.cff", citation_cff(about, version, time[:10]).encode())
    cited = datacite_json(about, source.tree, version, time[:10], source.rows, size)
    edition.put("datacite.json", cited.encode())
    edition.seal(source.snapshot.provenance.version, source.rows, time)
    return notes


def _write_tables(
    edition: Edition,
    source: ExportedRows,
    census: Census,
    tables: Sequence[Literal["fits", "votable"]],
    stage: Stage,
) -> list[str]:
    """Write the whole tables that the edition before doesn't have; what their readers have to know."""
    columns = source.schema.to_string(truncate_metadata=False)
    origin = [[item.keyword, item.value] for item in source.origin]
    notes: list[str] = []
    for form in tables:
        key = digest(form, census.digest, columns, origin)
        if edition.take(_FILES[form], key):
            continue
        with stage(_FILES[form], source.all_rows) as progress:
            uri = edition.place(_FILES[form])
            snapshot, _ = for_form(source.snapshot, form)  # what a form lacks is in the table of files
            written = export_snapshot(snapshot, uri, source.tree, form, progress, rights=source.rights)
        edition.add(_FILES[form], key)
        notes += written.notes
    return notes
