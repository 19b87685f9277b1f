"""The page that tells what differs between two snapshots, and what a refresh changed."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.catalogue.changes import ABSENT, FATES, NEW, is_readable, side_by_side, version_of
from pipeline.catalogue.export import Snapshot, open_snapshot
from pipeline.console import progress, say
from pipeline.errors import InputError
from pipeline.evaluation.changes import Changes, gather_changes
from pipeline.protocol import Plan, RunLayout, catalogue_uri
from pipeline.report.changes import change_sections
from pipeline.report.document import write_document
from pipeline.run.cutouts import readable_cutouts
from pipeline.run.run import Run
from pipeline.run.settings import StreamConfig
from pipeline.survey import Inventory
from pipeline.tree import DecisionTree


def write_changes(
    folder: str,
    title: str,
    tree: DecisionTree,
    snapshots: tuple[Snapshot, Snapshot],
    source: Callable[[str], Inventory],
    limit: int,
    names: tuple[str, str] | None = None,
) -> tuple[Changes, str]:
    """Compare two snapshots and write the page into a folder.

    Parameters
    ----------
    snapshots
        Before and after.
    source
        What reads an input shard of the snapshot after.
    limit
        Most galaxies that are shown.
    names
        Names of the two catalogues, if they must have a galaxy in common.

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
    before, after = snapshots
    with progress("Comparing", before.all_rows + after.all_rows) as advance:
        changes = gather_changes(tree, side_by_side(before, after, tree.columns, advance), limit)
    if names and sum(changes.fates.values()) == changes.fates[NEW] + changes.fates[ABSENT]:
        raise InputError(
            f"no galaxy of {names[0]} is in {names[1]}; expected catalogues of the same galaxies"
        )
    cutouts = readable_cutouts(changes.moved["input"].to_pylist(), source)
    drift, shifts = changes.drift, changes.drift.shifts()
    line = in_a_line(changes)
    furthest = max(shifts, key=lambda shift: shift.kolmogorov_smirnov, default=None)
    page = write_document(
        folder,
        title,
        f"{line[:1].upper()}{line[1:]}.",
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


def in_a_line(changes: Changes) -> str:
    """What changed between two catalogues, as one line for the user."""
    fates = ", ".join(f"{changes.fates[fate]:,} {fate}" for fate in FATES if changes.fates[fate])
    drift = changes.drift
    return f"{fates}; of {drift.galaxies:,} compared {drift.changed_class:,} changed class"


def report_changes(run: Run[StreamConfig], plan: Plan) -> None:
    """Tell what a committed run made of the version that it kept rows of, where there is one."""
    output, tree = run.config.output, run.tree
    uri, version = catalogue_uri(output), version_of(output, plan)
    if plan.kept is None or version is None:
        return
    try:
        before = open_snapshot(uri, tree, as_of=str(plan.kept))
        after = open_snapshot(uri, tree, as_of=str(version))
        if not is_readable(before):
            say(f"Version {plan.kept} of {uri} was vacuumed: no report of what run {plan.run} changed")
            return
        changes, page = write_changes(
            RunLayout(output, plan.run).changes,
            f"{run.config.title}: what run {plan.run} changed",
            tree,
            (before, after),
            lambda shard: run.source,
            run.config.report_galaxies,
        )
    except InputError as error:  # another program may have written the version before, or the log forgot it
        say(f"No report of what run {plan.run} changed: {error}")
        return
    say(f"Changes:   {in_a_line(changes)}; {page}")
