"""What each instruction does in the simulated world."""

from __future__ import annotations

import functools
from typing import Any

from pipeline import storage
from pipeline.errors import InputError, RunError
from pipeline.protocol import adoption, commit, lease, ledger, plan, run, vacuum
from pipeline.protocol.ledger import LedgerEntry, StoredTable
from pipeline.protocol.plan import Plan, PlannedShard, WorkUnit, make_plan
from pipeline.protocol.steps import Steps
from tests.protocol import invariants
from tests.protocol.delta import Conflict, Version
from tests.protocol.leases import (
    confirm_lease,
    create_lease,
    hold_lease,
    looks_alive,
    read_lease,
    release_lease,
    swap_lease,
)
from tests.protocol.world import DataFile, Handler, Part, Process, Row, World

STALE_LISTING = 30.0
"""Seconds for which a listing may not show a new entry."""


@functools.lru_cache(maxsize=4096)
def _plan(shards: tuple[PlannedShard, ...], weights: str, base: str | None, kept: int | None) -> Plan:
    return make_plan(shards, 2, {"weights": weights}, base, kept)


@functools.lru_cache(maxsize=4096)
def _shard(uri: str, etag: str, rows: int) -> PlannedShard:
    return PlannedShard(uri=uri, size=rows, etag=etag, rows=rows)


@functools.lru_cache(maxsize=4096)
def _units(shards: tuple[PlannedShard, ...], unit_rows: int) -> tuple[WorkUnit, ...]:
    return tuple(Plan.model_construct(shards=shards, unit_rows=unit_rows).units())


# Plans


def read_plans(world: World, process: Process, _: adoption.ReadPlans) -> list[Plan]:
    return plan.newest_first(world.store.plans.values())


def create_plan(world: World, process: Process, instruction: adoption.CreatePlan) -> bool:
    if instruction.plan.run in world.store.plans:
        return world.store.plans[instruction.plan.run] is instruction.plan
    return put_plan(world, process, instruction)


def put_plan(world: World, process: Process, instruction: adoption.CreatePlan) -> bool:
    if world.store.plans.get(instruction.plan.run, instruction.plan) is not instruction.plan:
        raise invariants.Broken(f"the plan of run {instruction.plan.run} was written twice")
    world.note(f"{process.name} plans run {instruction.plan.run}, over {instruction.plan.kept}")
    world.store.plans[instruction.plan.run] = instruction.plan
    return True


def is_finished(world: World, process: Process, instruction: adoption.IsFinished) -> bool:
    one = instruction.plan.run
    return one in world.store.summaries and one in world.store.log.versions[-1].transactions


def draw_plan(world: World, process: Process, instruction: run.DrawPlan) -> Plan | None:
    shards = tuple(
        _shard(uri, etag, len(world.source.history[uri, etag]))
        for uri, etag in sorted(world.source.shards.items())
    )
    weights, base = process.facts["weights"], instruction.base
    if base is None:
        return _plan(shards, weights, None, None)
    named = None if base.plan is None else base.plan.run
    if base.plan is not None:
        if base.plan.fingerprint["weights"] != weights:
            return _plan(shards, weights, named, base.version)
        plain = tuple(_shard(shard.uri, shard.etag, shard.rows) for shard in base.plan.shards)
        if plain == shards:
            return None if base.plan.run in world.store.summaries else base.plan
    relied_on = {} if base.plan is None else {shard.uri: shard.etag for shard in base.plan.shards}
    alike = {
        (row.galaxy, row.content)
        for row in invariants.rows_of(world, world.store.log.versions[-1])
        if not row.stale and row.settings == weights
    }
    marked = []
    for shard in shards:
        if relied_on.get(shard.uri) == shard.etag:
            marked.append(shard.model_copy(update={"selected": (), "carried": True}))
            continue
        galaxies = world.source.history[shard.uri, shard.etag]
        ranges = tuple((i, i + 1) for i, galaxy in enumerate(galaxies) if galaxy not in alike)
        marked.append(shard.model_copy(update={"selected": ranges}))
    return _plan(tuple(marked), weights, named, base.version)


# Units


def read_ledger(world: World, process: Process, instruction: ledger.ReadLedger) -> dict[int, LedgerEntry]:
    shown = {}
    for (one, unit), (entry, written) in world.store.entries.items():
        new = world.now - written < STALE_LISTING
        if one == instruction.plan.run and not (new and world.faults and world.random.random() < 0.1):
            shown[unit] = entry
    return shown


def do_units(world: World, process: Process, instruction: run.DoUnits) -> Steps[None]:
    pending = list(instruction.pending)
    world.random.shuffle(pending)
    workers: list[Process] = []
    for unit in pending:
        worker = Process(f"{process.name}'s worker {unit.index}", process.node)
        worker.facts = {"unit": unit, "plan": instruction.plan, "weights": process.facts["weights"]}
        workers.append(world.start(worker, ledger.enter_unit()))
    process.workers = workers
    while any(worker.alive for worker in workers):
        yield from lease.Sleep(1.0)
        if process.lost is not None:
            raise process.lost
    for worker in workers:
        if worker.error is not None:
            raise worker.error
        if worker.killed:
            raise RunError("a worker was killed")


def store_unit(world: World, process: Process, _: ledger.StoreUnit) -> LedgerEntry:
    unit, one = process.facts["unit"], process.facts["plan"]
    etag = world.source.shards.get(unit.shard)
    galaxies = world.source.history[unit.shard, etag] if etag is not None else ()
    check_identity(etag, unit.etag, unit.shard)
    chosen = [
        galaxies[row] for first, last in unit.ranges for row in range(first, last) if row < len(galaxies)
    ]
    rows = tuple(Row(name, content, process.facts["weights"]) for name, content in chosen)
    name = f"{unit.index:08d}-{world.unique()}.parquet"
    world.store.parts[name] = Part(one.run, unit.index, rows, world.now)
    table = StoredTable.model_construct(name=name, rows=len(rows), bytes=1, sha256="")
    return LedgerEntry.model_construct(
        unit=unit.index,
        rows=unit.rows,
        classified=unit.rows,
        quarantined={},
        part=table,
        rejects=None,
        seconds={},
        node="",
    )


def check_identity(now: str | None, planned: str | None, shard: str) -> None:
    if now != planned:
        raise InputError(f"{shard} was rewritten since the run was planned")


def create_entry(world: World, process: Process, instruction: ledger.CreateEntry) -> bool:
    key = (process.facts["plan"].run, instruction.entry.unit)
    if key in world.store.entries:
        return world.store.entries[key][0] is instruction.entry
    return put_entry(world, process, instruction)


def put_entry(world: World, process: Process, instruction: ledger.CreateEntry) -> bool:
    key = (process.facts["plan"].run, instruction.entry.unit)
    if key in world.store.entries and world.store.entries[key][0] is not instruction.entry:
        raise invariants.Broken(f"the entry of unit {key[1]} of run {key[0]} was written twice")
    world.store.entries[key] = (instruction.entry, world.now)
    return True


def read_entry(world: World, process: Process, instruction: ledger.ReadEntry) -> LedgerEntry:
    return world.store.entries[process.facts["plan"].run, instruction.unit][0]


# The table


def open_table(world: World, process: Process, instruction: commit.OpenTable) -> commit.TableState | None:
    versions = world.store.log.versions
    if not versions:
        return None
    changes = [number for number, version in enumerate(versions) if version.changes_rows]
    content = changes[-1] if changes else None
    newest = versions[-1]
    return commit.TableState(
        len(versions) - 1,
        content,
        None if content is None else versions[content].run,
        None if instruction.run is None else newest.transactions.get(instruction.run),
        newest.transactions.get("lease", 0),
    )


def create_table(world: World, process: Process, _: commit.CreateTable) -> None:
    world.store.log.create(world.now)


def write_files(world: World, process: Process, instruction: commit.WriteFiles) -> frozenset[str]:
    one, store = instruction.plan, world.store
    rows: list[Row] = []
    for entry in instruction.ledger.values():
        assert entry.part is not None
        if entry.part.name not in store.parts:
            raise InputError(f"part {entry.part.name} doesn't exist")
        rows += store.parts[entry.part.name].rows
    if one.kept is not None:
        rows += _kept(world, one, {row.galaxy for row in rows})
    names = set()
    for half in (rows[::2], rows[1::2]):
        name = f"part-{world.unique()}.parquet"
        store.files[name] = DataFile(tuple(half), world.now)
        names.add(name)
    record = store.lease[0] if store.lease is not None else None
    process.facts["epoch when durable"] = 0 if record is None else record.epoch
    return frozenset(names)


def _kept(world: World, one: Plan, anew: set[str]) -> list[Row]:
    """Rows of the version that a plan keeps, as `Keeper` has them."""
    assert one.kept is not None
    version = world.store.log.versions[one.kept]
    if version.files - world.store.files.keys():
        raise InputError("a data file of the version that is kept doesn't exist")
    source = {galaxy for shard in one.shards for galaxy in world.source.history[shard.uri, shard.etag]}
    rows = [row for name in sorted(version.files) for row in world.store.files[name].rows]
    return [
        Row(row.galaxy, row.content, row.settings, (row.galaxy, row.content) not in source)
        for row in rows
        if row.galaxy not in anew
    ]


def check_inputs(world: World, process: Process, instruction: commit.CheckInputs) -> None:
    for shard in instruction.plan.shards:
        check_identity(world.source.shards.get(shard.uri), shard.etag, shard.uri)


def write_version(world: World, process: Process, instruction: commit.WriteVersion) -> bool:
    return put_version(world, process, instruction, rebase=False)


def put_version(world: World, process: Process, instruction: commit.WriteVersion, rebase: bool) -> bool:
    one, log = instruction.plan, world.store.log
    try:
        number = log.commit(
            instruction.version - 1,
            "append" if one is None else "overwrite",
            frozenset(instruction.files),
            transactions_of(instruction),
            None if one is None else one.run,
            one is None,
            world.now,
            rebase,
        )
    except Conflict:
        return False
    world.note(f"{process.name} writes version {number}: {'a fence' if one is None else one.run}")
    if one is not None:
        invariants.check_version(world, process, one)
        invariants.check_takeover(process, instruction.epoch)
    return True


def put_first_version(world: World, process: Process, instruction: commit.WriteVersion) -> bool:
    """As version 0, or appended to another's first: the Delta library rebases it, a blind append."""
    one, log = instruction.plan, world.store.log
    assert one is not None
    older = log.versions[-1] if log.versions else Version(frozenset())
    files, transactions = frozenset(instruction.files), transactions_of(instruction)
    log.versions.append(
        Version(older.files | files, files, frozenset(), {**older.transactions, **transactions}, one.run)
    )
    invariants.check_version(world, process, one)
    return True


def transactions_of(instruction: commit.WriteVersion) -> dict[str, int]:
    """What a version says of the lease and of its run."""
    run_of = {} if instruction.plan is None else {instruction.plan.run: instruction.version}
    return {"lease": instruction.epoch} | run_of


# A run's begin and end, and time


def end_run(world: World, process: Process, instruction: run.EndRun) -> None:
    world.store.summaries.add(instruction.plan.run)


# Vacuum


def list_run(world: World, process: Process, instruction: vacuum.ListRun) -> list[storage.FileInfo]:
    return [
        storage.FileInfo(f"/{name}", 1, "", part.written)
        for name, part in world.store.parts.items()
        if part.run == instruction.run
    ] + [storage.FileInfo("/quarantine.parquet", 1, "", 0.0)]


def list_catalogue(world: World, process: Process, _: vacuum.ListCatalogue) -> list[storage.FileInfo]:
    return [storage.FileInfo(f"/{name}", 1, "", file.written) for name, file in world.store.files.items()]


def read_log(world: World, process: Process, _: vacuum.ReadLog) -> vacuum.TableLog:
    versions = world.store.log.versions
    superseded = {name: version.written for version in versions for name in version.removed}
    named = frozenset(name for version in versions for name in version.added | version.removed)
    return vacuum.TableLog(versions[-1].files, named, superseded, invariants.RETENTION)


def remove(world: World, process: Process, instruction: vacuum.Remove) -> None:
    if instruction.removal.marker is not None:
        world.store.without_parts.add(instruction.removal.about.removeprefix("run "))
    for file in instruction.removal.files:
        name = storage.name(file.uri)
        world.store.parts.pop(name, None)
        world.store.files.pop(name, None)
    if instruction.removal.files:
        world.counts["removed"] += len(instruction.removal.files)
        world.note(f"{process.name} removes {len(instruction.removal.files)}: {instruction.removal.what}")
        invariants.check_readable(world, f"{process.name} removed files")


HANDLERS: dict[type[Any], Handler] = {
    lease.ReadLease: read_lease,
    lease.CreateLease: create_lease,
    lease.SwapLease: swap_lease,
    lease.LooksAlive: looks_alive,
    lease.Elapsed: lambda world, process, _: world.now + process.skew,
    lease.Now: lambda world, process, _: "",
    lease.Sleep: lambda world, process, _: None,
    lease.HoldLease: hold_lease,
    lease.ConfirmLease: confirm_lease,
    lease.ReleaseLease: release_lease,
    adoption.ReadPlans: read_plans,
    adoption.CreatePlan: create_plan,
    adoption.IsFinished: is_finished,
    adoption.PartsRemoved: lambda world, process, instruction: (
        instruction.plan.run in world.store.without_parts
    ),
    run.DrawPlan: draw_plan,
    ledger.ReadLedger: read_ledger,
    run.DoUnits: do_units,
    ledger.StoreUnit: store_unit,
    ledger.CreateEntry: create_entry,
    ledger.ReadEntry: read_entry,
    commit.OpenTable: open_table,
    commit.CreateTable: create_table,
    commit.WriteFiles: write_files,
    commit.CheckInputs: check_inputs,
    commit.WriteVersion: write_version,
    run.BeginRun: lambda world, process, _: None,
    run.EndRun: end_run,
    vacuum.StoreClock: lambda world, process, _: world.now,
    vacuum.ListOutput: lambda world, process, _: [],
    vacuum.ListRun: list_run,
    vacuum.ListCatalogue: list_catalogue,
    vacuum.ReadLog: read_log,
    vacuum.Remove: remove,
}

WRITES = frozenset(
    {
        lease.CreateLease,
        lease.SwapLease,
        adoption.CreatePlan,
        ledger.StoreUnit,
        ledger.CreateEntry,
        commit.CreateTable,
        commit.WriteVersion,
        run.EndRun,
    }
)
