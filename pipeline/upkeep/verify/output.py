"""Recounting an output from its files: every input row once in the catalogue, or once in the quarantine."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from deltalake import DeltaTable
from numpy.typing import NDArray

from pipeline import storage
from pipeline.catalogue.delta import DamagedCatalogue, load_table, reading_log, snapshot_files
from pipeline.catalogue.embedding import EMBEDDING, projection_of
from pipeline.catalogue.hashes import hash_rows
from pipeline.catalogue.table import state_of
from pipeline.digest import digest
from pipeline.errors import InputError
from pipeline.protocol.layout import RunLayout, catalogue_uri, runs_folder
from pipeline.protocol.plan import Plan, PlannedShard
from pipeline.protocol.records.ledger import entry_uri, parse_entry
from pipeline.protocol.records.plans import read_plans
from pipeline.protocol.vacuum import orphaned_parts
from pipeline.tree import DecisionTree
from pipeline.upkeep.verify.files import (
    AFRESH,
    Damaged,
    Finding,
    Run,
    check_catalogue_file,
    check_quarantine,
    check_unit,
    reading,
)
from pipeline.upkeep.verify.rows import Book
from pipeline.upkeep.verify.seal import check_earlier, check_summary, is_sealed

ReadIds = Callable[[str], pa.ChunkedArray]
"""A function from an input shard's URI to its object_id column, as strings."""

Describe = Callable[[str], storage.FileInfo]
"""A function from an input shard's URI to its size and etag as they are now."""

_INPUT = "restore the shard as it was, or classify what is there now with new_run=true"


@dataclass
class Recount:
    """What was counted while an output was verified; the counts are those of the catalogue's snapshot.

    Attributes
    ----------
    sealed
        Whether the run that made it is sealed; one of an earlier version isn't.
    unfinished
        A later run, which isn't committed yet.
    """

    run: str = ""
    rows: int = 0
    units: int = 0
    files: int = 0
    classified: int = 0
    quarantined: int = 0
    stale: int = 0
    orphans: list[storage.FileInfo] = field(default_factory=list)
    parts_removed: bool = False
    sealed: bool = True
    unfinished: str | None = None


def verify_output(
    output: str,
    tree: DecisionTree,
    read_ids: ReadIds,
    recount: Recount | None = None,
    describe: Describe = storage.file_info,
) -> Iterator[Finding]:
    """Recount an output: inputs, plan, ledger, parts, quarantine and the catalogue's snapshot.

    The run that made the snapshot is verified. A later run that isn't committed yet is passed over: it may
    never be. While no run's rows are in the catalogue, it is the latest run that is verified.

    Parameters
    ----------
    read_ids
        Reads the object ids of an input shard; an `InputError` of it becomes a finding.
    recount
        Filled with what was counted.
    describe
        Gives size and etag of an input shard, where that isn't a file.

    Raises
    ------
    InputError
        If `output` holds no run at all, or a store fails: what can't be read is not known to be damaged.
    """
    recount = Recount() if recount is None else recount
    try:
        with reading():
            plans = read_plans(output)
    except Damaged as error:
        yield Finding("plan", str(error), "restore it: without the plan nothing can be recounted")
        return
    if not plans:
        if not storage.list_files(runs_folder(output)):
            raise InputError(
                f"{output} is no output of classify: expected {runs_folder(output)}/<run>/plan.json"
            )
        yield Finding("plan", f"{runs_folder(output)}: expected a plan.json, found none", "restore it")
        return
    table, state, committed = None, None, list[Plan]()
    try:
        table = load_table(catalogue_uri(output))
        if table is not None:
            state, committed = state_of(output, table), _committed(catalogue_uri(output), table, plans)
    except DamagedCatalogue as error:
        yield Finding("catalogue", _damaged_log(catalogue_uri(output), error), AFRESH)
        table = None
    reads = (read_ids, describe)
    if state is not None and state.run is None and state.content is not None:
        problem = (
            f"expected version {state.content} written by a run, found another writer's, such as a restore"
        )
        advice = "bring it up to date with `tuningfork refresh`, or classify again with new_run=true"
        yield Finding("catalogue", f"{catalogue_uri(output)}: {problem}", advice)
    if committed:
        current = next((plan for plan in committed if state and plan.run == state.run), committed[0])
        earlier = frozenset(plan.run for plan in committed if plan is not current)
        layout = RunLayout(output, current.run)
        yield from _verify_run(layout, current, tree, reads, table, recount, earlier)
        for plan in committed:
            if plan is not current:
                yield from check_earlier(RunLayout(output, plan.run))
    latest = plans[0]
    if latest in committed:
        return
    layout = RunLayout(output, latest.run)
    if any(state and plan.run == state.run for plan in committed) and not storage.exists(layout.summary):
        recount.unfinished = latest.run
        return
    yield from _verify_run(layout, latest, tree, reads, None, recount, frozenset(p.run for p in committed))
    yield Finding(
        f"run {latest.run}",
        f"{catalogue_uri(output)}: expected this run's snapshot, found none: the run is not committed",
        "give the same command again",
    )


def _committed(uri: str, table: DeltaTable, plans: Iterable[Plan]) -> list[Plan]:
    """The plans of those runs that the catalogue took."""
    with reading_log(uri):
        return [plan for plan in plans if table.transaction_version(plan.run) is not None]


def _damaged_log(uri: str, error: DamagedCatalogue) -> str:
    """What is wrong with the log, unless its store is away: the Delta library's errors don't tell."""
    log = storage.join(uri, "_delta_log")
    for file in storage.list_files(log):
        storage.read_bytes(file.uri)
    return f"{log} can't be read: {' '.join(str(error).split())}"


def _verify_run(
    layout: RunLayout,
    plan: Plan,
    tree: DecisionTree,
    reads: tuple[ReadIds, Describe],
    table: DeltaTable | None,
    recount: Recount,
    earlier: frozenset[str],
) -> Iterator[Finding]:
    parts = storage.list_files(layout.parts)  # before the ledger: a part is there before its entry
    edited = list(check_plan(layout, plan))
    yield from edited
    if edited:  # all that follows would be held to numbers that nobody planned
        for shard in plan.shards:
            yield from check_shard(shard, *reads, np.zeros(0, np.uint64), np.zeros(0, bool))
        return
    columns = None if table is None else pa.schema(table.schema().to_arrow())
    run = Run(layout, plan, tree, {}, Book(plan), table is not None, columns, earlier)
    yield from check_ledger(run)
    recount.orphans += orphaned_parts(parts, run.ledger)
    for shard, start in zip(plan.shards, run.book.starts, strict=False):
        rows = slice(start, start + shard.rows)
        yield from check_shard(shard, *reads, run.book.ids[rows], run.book.nameless[rows])
    removed = storage.exists(layout.parts_removed)
    for unit in plan.units():
        if unit.index in run.ledger and not removed:
            yield from check_unit(run, unit, run.ledger[unit.index])
    if table is None:
        return
    yield from check_projection(run)
    yield from check_quarantine(run)
    files = snapshot_files(catalogue_uri(layout.output), table)
    for file in files:
        yield from check_catalogue_file(run, file)
    yield from check_accounts(run)
    if removed:
        yield from check_classified(run)
    yield from check_summary(run, [file.uri for file in files], table.version())
    recount.run, recount.rows, recount.units, recount.files = plan.run, plan.rows, plan.unit_count, len(files)
    recount.classified, recount.quarantined = int(run.book.catalogued.sum()), int(run.book.quarantined.sum())
    recount.stale = len(run.stale)
    recount.parts_removed, recount.sealed = removed, is_sealed(layout)


def check_plan(layout: RunLayout, plan: Plan) -> Iterator[Finding]:
    """Check the plan against its own fingerprint and the folder that it lies in."""
    advice = "restore the plan as it was written, or " + AFRESH
    inputs = digest([shard.model_dump() for shard in plan.shards])
    for what, expected, actual in (
        ("shards of fingerprint", plan.fingerprint.get("input"), inputs),
        ("unit_rows", plan.fingerprint.get("unit_rows"), str(plan.unit_rows)),
        ("run", digest(plan.fingerprint)[:12], plan.run.partition("-")[0]),
        ("base", plan.fingerprint.get("base"), _base_of(plan)),
    ):
        if expected != actual:
            values = f"expected {what} {str(expected)[:12]}, found {str(actual)[:12]}"
            yield Finding("plan", f"{layout.plan}: {values}: it was edited", advice)


def _base_of(plan: Plan) -> str | None:
    """The base of a plan as its fingerprint has it."""
    return plan.base if plan.kept is None else f"{plan.base or 'table'}@{plan.kept}"


def check_ledger(run: Run) -> Iterator[Finding]:
    """Check the entries against the units of the plan; those that are sound fill the run's ledger."""
    units = {unit.index for unit in run.plan.units()}
    present = set()
    for file in storage.list_files(run.layout.ledger, ".json"):
        stem = storage.name(file.uri).removesuffix(".json")
        index = int(stem) if stem.isdecimal() else -1
        if index not in units:
            yield Finding(
                f"unit {stem}",
                f"{file.uri}: expected units 0 to {max(units, default=-1)}, found this",
                f"remove {file.uri}",
            )
            continue
        present.add(index)
        try:
            with reading():
                data = storage.read_bytes(file.uri)
                run.entries[storage.name(file.uri)] = hashlib.sha256(data).hexdigest()
                entry = parse_entry(file.uri, data)
        except Damaged as error:
            yield Finding(f"unit {index}", str(error), run.redo(index))
            continue
        if entry.unit != index:
            yield Finding(
                f"unit {index}", f"{file.uri}: expected unit {index}, found {entry.unit}", run.redo(index)
            )
            continue
        run.ledger[index] = entry
    advice = AFRESH if run.committed else "give the same command again"
    for first, last in _ranges(index for index in sorted(units) if index not in present):
        problem = f"{entry_uri(run.layout, first)}: expected a ledger entry, found none"
        yield Finding(_unit_name(first, last), problem, advice)


def check_shard(
    shard: PlannedShard,
    read_ids: ReadIds,
    describe: Describe,
    hashes: NDArray[np.uint64],
    nameless: NDArray[np.bool_],
) -> Iterator[Finding]:
    """Check an input shard as it is against the plan; set the hashes of its ids, and which are null."""
    try:
        with reading():
            info = describe(shard.uri)
        ids = _shard_ids(shard.uri, read_ids)
    except Damaged as error:
        yield Finding("input", str(error), _INPUT)
        return
    for what, expected, actual in (
        ("bytes", shard.size, info.size),
        ("etag", shard.etag, info.etag),
        ("rows", shard.rows, len(ids)),
    ):
        if expected != actual:
            yield Finding(
                "input", f"{shard.uri}: expected {what} {expected} as planned, found {actual}", _INPUT
            )
    if len(ids) == len(hashes):
        hashes[:] = hash_rows(pa.table({"object_id": ids}))
        nameless[:] = np.asarray(ids.is_null())


def _shard_ids(uri: str, read_ids: ReadIds) -> pa.ChunkedArray:
    try:
        return read_ids(uri)
    except InputError as error:
        raise Damaged(str(error)) from error


def check_projection(run: Run) -> Iterator[Finding]:
    """Check that the table names the run's own projection: by it readers tell which vectors to compare."""
    if run.columns is None or run.plan.embedding is None or EMBEDDING not in run.columns.names:
        return
    named = projection_of(run.columns)
    if named != run.plan.embedding:
        problem = f"expected projection {run.plan.embedding[:12]}… as planned, found {named[:12] or 'none'}"
        yield Finding("catalogue", f"{catalogue_uri(run.layout.output)}: {problem}", AFRESH)


def check_accounts(run: Run) -> Iterator[Finding]:
    """Check that every input row is once in the catalogue or once in the quarantine, and no id twice."""
    book = run.book
    for wrong, what in (
        (~book.catalogued & ~book.quarantined, "in neither"),
        (book.catalogued & book.quarantined, "in both"),
    ):
        places = np.flatnonzero(wrong)
        units = book.units(places)
        for first, last in _ranges(np.unique(units).tolist()):
            inside = places[(units >= first) & (units <= last)]
            in_words = f"{len(inside):,} {what}, such as {book.name(int(inside[0]))}"
            problem = f"{run.layout.output}: expected each row in catalogue or quarantine, found {in_words}"
            yield Finding(_unit_name(first, last), problem, AFRESH)
    places = np.flatnonzero(book.catalogued & (book.ids != 0))
    order = places[np.argsort(book.ids[places], kind="stable")]
    for i in np.flatnonzero(book.ids[order][1:] == book.ids[order][:-1])[:1]:
        twins = f"{book.name(int(order[i]))} and {book.name(int(order[i + 1]))}"
        problem = (
            f"{catalogue_uri(run.layout.output)}: expected each object_id once, found that of {twins} twice"
        )
        yield Finding("catalogue", problem, AFRESH)
    stale = np.array(sorted(run.stale), np.uint64)
    again = places[np.isin(book.ids[places], stale)]
    if len(again):
        problem = f"expected no current row of a stale object_id, found {book.name(int(again[0]))}"
        yield Finding("catalogue", f"{catalogue_uri(run.layout.output)}: {problem}", AFRESH)


def check_classified(run: Run) -> Iterator[Finding]:
    """Check the ledger's counts against the catalogue's rows, for a run whose parts are no more."""
    units = run.book.units(np.flatnonzero(run.book.catalogued & run.book.selected))
    counts = np.bincount(units, minlength=len(run.book.unit_starts) - 1)
    for index, entry in run.ledger.items():
        if counts[index] != entry.classified:
            problem = f"expected {counts[index]} classified as in the catalogue, found {entry.classified}"
            yield Finding(f"unit {index}", f"{entry_uri(run.layout, index)}: {problem}", AFRESH)


def _ranges(indices: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Runs of neighbouring numbers, as (first, last)."""
    first = last = None
    for index in indices:
        if last is not None and index != last + 1:
            yield first or 0, last
            first = None
        first, last = index if first is None else first, index
    if last is not None:
        yield first or 0, last


def _unit_name(first: int, last: int) -> str:
    return f"unit {first}" if first == last else f"units {first} to {last}"
