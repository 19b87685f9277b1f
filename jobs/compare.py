"""Compare: what differs between two catalogues of the same galaxies."""

from __future__ import annotations

from collections.abc import Callable

from pydantic import Field, model_validator

from jobs.console import progress, say
from jobs.cutouts import readable_cutouts, reader_of
from jobs.places import Output, TablePlace
from pipeline import storage
from pipeline.catalogue.changes import ABSENT, FATES, NEW, side_by_side
from pipeline.catalogue.export import Snapshot, open_snapshot
from pipeline.config import StrictModel
from pipeline.errors import InputError
from pipeline.evaluation.changes import Changes, gather_changes
from pipeline.report.changes import change_sections
from pipeline.report.document import write_document
from pipeline.survey import Inventory
from pipeline.tree import GALAXY_ZOO_2, DecisionTree, load_tree


class CompareConfig(StrictModel):
    """What `tuningfork compare` takes.

    Attributes
    ----------
    catalogue, other
        Folders ``catalogue`` of outputs: before and after.
    output
        Where the page, tables and figures go (any fsspec URI).
    tree
        The decision tree whose answers both hold.
    as_of, other_as_of
        Version, or date and time, of an older snapshot of each; the current one if not given.
    galaxies
        Most galaxies that are shown of those that changed class.
    """

    catalogue: TablePlace
    other: TablePlace
    output: Output
    title: str = "Two catalogues of the same galaxies"
    tree: str = str(GALAXY_ZOO_2)
    as_of: str | None = None
    other_as_of: str | None = None
    galaxies: int = Field(default=48, gt=0, le=2000)

    @model_validator(mode="after")
    def _differ(self) -> CompareConfig:
        same = storage.absolute(self.catalogue) == storage.absolute(self.other)
        if same and self.as_of == self.other_as_of:
            raise ValueError(
                f"{self.catalogue} is compared with itself; name another, or a version of it as as_of=0"
            )
        return self


def run(config: CompareConfig) -> None:
    """Compare two catalogues and write the page.

    Raises
    ------
    InputError
        If a catalogue can't be used, or no galaxy is in both.
    """
    tree = load_tree(config.tree)
    before = open_snapshot(config.catalogue, tree, as_of=config.as_of)
    after = open_snapshot(config.other, tree, as_of=config.other_as_of)
    changes, page = write_changes(
        config.output,
        config.title,
        tree,
        before,
        after,
        reader_of(config.other),
        config.galaxies,
        (_named(config.catalogue, config.as_of), _named(config.other, config.other_as_of)),
    )
    say(told(changes))
    say(f"Report: {page}")


def write_changes(
    folder: str,
    title: str,
    tree: DecisionTree,
    before: Snapshot,
    after: Snapshot,
    source: Callable[[str], Inventory],
    most: int,
    names: tuple[str, str] | None = None,
) -> tuple[Changes, str]:
    """Compare two snapshots and write the page into a folder.

    Parameters
    ----------
    source
        What reads an input shard of the snapshot after.
    most
        Most galaxies that are shown.
    names
        Of two catalogues that must have a galaxy in common.

    Returns
    -------
    Changes
    str
        URI of the page.

    Raises
    ------
    InputError
        If a snapshot can't be read, or no galaxy is in both.
    """
    with progress("Comparing", before.all_rows + after.all_rows) as advance:
        changes = gather_changes(tree, side_by_side(before, after, tree.columns, advance), most)
    if names and sum(changes.fates.values()) == changes.fates[NEW] + changes.fates[ABSENT]:
        raise InputError(
            f"no galaxy of {names[0]} is in {names[1]}; expected catalogues of the same galaxies"
        )
    cutouts = readable_cutouts(changes.moved["input"].to_pylist(), source)
    drift, shifts = changes.drift, changes.drift.shifts()
    furthest = max(shifts, key=lambda shift: shift.kolmogorov_smirnov, default=None)
    page = write_document(
        folder,
        title,
        f"{told(changes)[:1].upper()}{told(changes)[1:]}.",
        change_sections(tree, changes, cutouts),
        facts=[
            (f"{drift.galaxies:,}", "galaxies compared"),
            (f"{drift.changed_class:,}", "changed class"),
            *(
                [(f"{furthest.kolmogorov_smirnov:.3f}", f"most drift (K–S), {furthest.column}")]
                if furthest
                else []
            ),
        ],
        caveat="" if names is None else f"Before: {names[0]}. After: {names[1]}.",
    )
    return changes, page


def told(changes: Changes) -> str:
    """What changed, in a line."""
    fates = ", ".join(f"{changes.fates[fate]:,} {fate}" for fate in FATES if changes.fates[fate])
    drift = changes.drift
    return f"{fates}; of {drift.galaxies:,} compared {drift.changed_class:,} changed class"


def _named(uri: str, as_of: str | None) -> str:
    return uri if as_of is None else f"{uri} as of {as_of}"
