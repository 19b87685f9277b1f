"""Export: a catalogue as a file that other programs read."""

from __future__ import annotations

from jobs.console import progress, say
from pipeline.catalogue import catalogue_dataset, export_catalogue
from pipeline.catalogue.export import Format
from pipeline.config import StrictModel
from pipeline.tree import GALAXY_ZOO_2, load_tree


class ExportConfig(StrictModel):
    """What `tuningfork export` takes.

    Attributes
    ----------
    catalogue
        The folder ``catalogue`` of an output.
    out
        File to write; it must not be there.
    tree
        The decision tree whose answers the catalogue holds.
    as_of
        Version, or date and time, of an older snapshot; the current one if not given.
    """

    catalogue: str
    out: str
    format: Format = "csv"
    tree: str = str(GALAXY_ZOO_2)
    as_of: str | None = None


def run(config: ExportConfig) -> None:
    """Write a snapshot of the catalogue to one file."""
    tree = load_tree(config.tree)
    total = catalogue_dataset(config.catalogue, tree, config.as_of).count_rows()
    with progress("Exporting", total) as advance:
        rows = export_catalogue(config.catalogue, config.out, tree, config.format, advance, config.as_of)
    say(f"{rows:,} galaxies written to {config.out} ({config.format})")
