"""Publish: a catalogue as a folder for the web, an archive or a viewer, brought up to date by parts."""

from __future__ import annotations

import sys
from typing import Literal

from pydantic import Field

from pipeline import storage
from pipeline.catalogue.export import open_snapshot
from pipeline.catalogue.publication import About, Shape, publish
from pipeline.console import progress, say
from pipeline.places import Output, TablePlace, TreeFile
from pipeline.tree import GALAXY_ZOO_2, load_tree


class PublishConfig(About):
    """What `tuningfork publish` takes.

    Attributes
    ----------
    catalogue
        The folder ``catalogue`` of an output.
    out
        The publication's folder; it must not exist yet, or hold an earlier edition.
    tree
        The decision tree whose answers the catalogue holds.
    as_of
        Version, or date and time, of an older snapshot; the current one if not given.
    tables
        Which single-file tables to write besides HATS and HiPS. They are rewritten whenever any galaxy has
        changed.
    partition_rows
        At most how many galaxies a partition of HATS has.
    coverage_order
        HEALPix order of the cells of the coverage map; the cells of order 10 measure 3.4 arcmin.
    rank
        Column of numbers by which Aladin shows galaxies, the largest first. By default, the confidence of the
        class, or else the agreement on the first question.
    """

    catalogue: TablePlace
    out: Output
    tree: TreeFile = str(GALAXY_ZOO_2)
    as_of: str | None = None
    tables: tuple[Literal["fits", "votable"], ...] = ("fits", "votable")
    partition_rows: int = Field(default=250_000, ge=1)
    coverage_order: int = Field(default=10, ge=3, le=12)
    rank: str | None = None


def run(config: PublishConfig) -> None:
    """Make the catalogue the current edition of its publication.

    Raises
    ------
    InputError
        If there is no catalogue, the folder holds something else, or no galaxy has a position.
    HeldError
        If another call is publishing there.
    """
    tree = load_tree(config.tree)
    about = About(**{name: getattr(config, name) for name in About.model_fields})
    shape = Shape(
        tables=tuple(dict.fromkeys(config.tables)),
        partition_rows=config.partition_rows,
        coverage_order=config.coverage_order,
        rank=config.rank,
    )
    snapshot = open_snapshot(config.catalogue, tree, as_of=config.as_of)
    done = publish(snapshot, config.out, tree, about, progress, shape)
    folder = storage.join(config.out, "editions", done.edition)
    if done.written:
        size = f"{done.written:,} of {done.files:,} files ({done.written_bytes / 1e6:,.1f} MB) written"
    else:
        size = "nothing has changed"
    say(f"{done.galaxies:,} galaxies published in {folder}: {size}")
    for note in done.notes:
        print(f"tuningfork: note: {note}", file=sys.stderr)
