"""Clumps: those of a catalogue's galaxies as a table of their own."""

from __future__ import annotations

import sys

from pipeline.catalogue.export import Format, form_by_ending, open_snapshot
from pipeline.catalogue.export.clumps import export_clumps
from pipeline.config import StrictModel
from pipeline.console import say
from pipeline.places import Output, TablePlace, TreeFile
from pipeline.tree import GALAXY_ZOO_2, load_tree


class ClumpsConfig(StrictModel):
    """What `tuningfork clumps` takes.

    Attributes
    ----------
    catalogue
        The folder ``catalogue`` of an output of `tuningfork detect`.
    out
        File to write, or folder for ``hats``; it must not exist yet.
    format
        csv, parquet, fits, votable or hats; by default it follows from the ending of the file's name.
    tree
        The decision tree whose answers the catalogue holds.
    as_of
        Version, or date and time, of an older snapshot; the current one if not given.
    """

    catalogue: TablePlace
    out: Output
    format: Format | None = None
    tree: TreeFile = str(GALAXY_ZOO_2)
    as_of: str | None = None


def run(config: ClumpsConfig) -> None:
    """Write the table.

    Raises
    ------
    InputError
        If there is no catalogue, it has no clumps, or the target is there already.
    """
    tree = load_tree(config.tree)
    form = config.format or form_by_ending(config.out)
    done = export_clumps(open_snapshot(config.catalogue, tree, None, config.as_of), config.out, tree, form)
    say(f"{done.rows:,} clumps written to {config.out} ({form})")
    for note in done.notes:
        print(f"tuningfork: note: {note}", file=sys.stderr)
