"""The protocol with one guard taken out at a time: the simulation must show what each is for."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from unittest import mock

from pipeline.protocol import adoption, commit, lease, run, vacuum
from pipeline.protocol.plan import Plan
from pipeline.protocol.steps import Instruction, Steps
from tests.protocol import handlers, invariants, leases
from tests.protocol.world import Process, World

Mutant = Callable[[], contextlib.AbstractContextManager[Any]]


def _handler(kind: type[Any], by: Callable[..., Any]) -> Mutant:
    """The world does another thing at an instruction."""
    return lambda: mock.patch.dict(handlers.HANDLERS, {kind: by})


def _code(module: Any, name: str, by: Any) -> Mutant:
    """The protocol has other code."""
    return lambda: mock.patch.object(module, name, by)


def _is_finished(one: Plan) -> Steps[bool]:
    return (yield from adoption.IsFinished(one))


def _nothing(world: World, process: Process, instruction: Any) -> None:
    return None


def _any_version(world: World, process: Process, instruction: commit.WriteVersion) -> bool:
    number = len(world.store.log.versions)
    return handlers.put_version(
        world,
        process,
        commit.WriteVersion(number, instruction.plan, instruction.epoch, instruction.files),
        False,
    )


def _may_commit(without: str) -> Callable[[Plan, commit.TableState, int], bool]:
    whole = commit.may_commit

    def judge(one: Plan, table: commit.TableState, epoch: int) -> bool:
        if without == "transaction":
            table = commit.TableState(table.version, table.content, table.run, None, table.epoch)
        if without == "epoch":
            epoch = max(epoch, table.epoch)
        if without == "base" and one.kept is not None:
            table = commit.TableState(table.version, one.kept, table.run, table.made, table.epoch)
        return whole(one, table, epoch)

    return judge


def _forced_swap(world: World, process: Process, instruction: lease.SwapLease) -> bool:
    return leases.write_lease(world, process, instruction.record)


def _forced_entry(world: World, process: Process, instruction: Any) -> bool:
    return handlers.put_entry(world, process, instruction)


def _forced_plan(world: World, process: Process, instruction: adoption.CreatePlan) -> bool:
    return handlers.put_plan(world, process, instruction)


def _base_by_transactions(table: commit.TableState, plans: list[Plan]) -> run.Base | None:
    """The latest run that was ever committed, whatever the table holds now."""
    if table.content is None:
        return None
    return run.Base(table.content, next((one for one in plans if one.run in _COMMITTED), None))


_ALL_REMOVALS = vacuum._removals
_COMMITTED: set[str] = set()


@contextlib.contextmanager
def _relied_on_transactions() -> Iterator[None]:
    def note(world: World, process: Process, instruction: commit.OpenTable) -> Any:
        _COMMITTED.clear()
        if world.store.log.versions:
            _COMMITTED.update(world.store.log.versions[-1].transactions)
        return handlers.open_table(world, process, instruction)

    with (
        mock.patch.dict(handlers.HANDLERS, {commit.OpenTable: note}),
        mock.patch.object(run, "base_of", _base_by_transactions),
    ):
        yield


def _named_live_only(world: World, process: Process, instruction: vacuum.ReadLog) -> vacuum.TableLog:
    log = handlers.read_log(world, process, instruction)
    return vacuum.TableLog(log.live, log.live, log.superseded, log.retention)


def _without_fence() -> contextlib.AbstractContextManager[Any]:
    def write(world: World, process: Process, instruction: commit.WriteVersion) -> bool:
        return instruction.plan is None or handlers.write_version(world, process, instruction)

    return mock.patch.dict(handlers.HANDLERS, {commit.WriteVersion: write})


class _Unconfirmed(Instruction[None]):
    """Stands where the lease is confirmed."""


@contextlib.contextmanager
def _vacuum_without_a_look() -> Iterator[None]:
    with (
        mock.patch.object(vacuum, "ConfirmLease", _Unconfirmed),
        mock.patch.dict(handlers.HANDLERS, {_Unconfirmed: _nothing}),
    ):
        yield


def _without_lease(options: vacuum.Options) -> Steps[list[vacuum.Removal]]:
    """Vacuum as it was: beside whoever works, and writing nothing."""
    table = yield from commit.OpenTable()
    return (yield from vacuum._vacuum(options, 0 if table is None else table.epoch))


@contextlib.contextmanager
def _vacuum_without_lease() -> Iterator[None]:
    with _vacuum_without_a_look(), mock.patch.object(vacuum, "vacuum", _without_lease):
        yield


def _all_orphans(files: Any, ledger: Any) -> Any:
    named = vacuum._named_parts(ledger)
    return [file for file in files if file.uri.rpartition("/")[2] not in named]


def _unfenced_runs(options: vacuum.Options, now: float) -> Steps[list[vacuum.Removal]]:
    """What can be removed, the runs' parts as if no commit could need them."""
    removals = yield from _ALL_REMOVALS(options, now)
    catalogue = vacuum.CATALOGUE
    return [one if one.about == catalogue else replace(one, fenced=False) for one in removals]


def _own_clock(world: World, process: Process, instruction: Any) -> float:
    return world.now + process.skew


@contextlib.contextmanager
def _unchecked_inputs() -> Iterator[None]:
    with (
        mock.patch.dict(handlers.HANDLERS, {commit.CheckInputs: _nothing}),
        mock.patch.object(handlers, "check_identity", return_value=None),
    ):
        yield


def _unordered(plans: Any) -> list[Plan]:
    return sorted(plans, key=lambda one: one.sequence, reverse=True)


@contextlib.contextmanager
def _without_epoch() -> Iterator[None]:
    """The lease isn't looked at either, which would do as well."""
    with (
        mock.patch.object(commit, "may_commit", _may_commit("epoch")),
        mock.patch.dict(handlers.HANDLERS, {lease.ConfirmLease: _nothing}),
        mock.patch.object(invariants, "check_takeover"),
    ):
        yield


@contextlib.contextmanager
def _without_table() -> Iterator[None]:
    """The first version is written by whoever sees no table; the Delta library appends it to another's."""

    def standing(one: str | None = None) -> Steps[commit.TableState]:
        table = yield from commit.OpenTable(one)
        return table or commit.TableState(-1, None, None, None, 0)

    def write(world: World, process: Process, instruction: commit.WriteVersion) -> bool:
        if instruction.version > 0:
            return handlers.write_version(world, process, instruction)
        return handlers.put_first_version(world, process, instruction)

    with (
        mock.patch.object(commit, "standing_table", standing),
        mock.patch.object(run, "standing_table", standing),
        mock.patch.dict(handlers.HANDLERS, {commit.WriteVersion: write}),
    ):
        yield


MUTANTS: dict[str, Mutant] = {
    "a table before any work": _without_table,
    "version after the one read": _handler(commit.WriteVersion, _any_version),
    "transaction looked at": _code(commit, "may_commit", _may_commit("transaction")),
    "epoch looked at, beside the lease": _without_epoch,
    "base looked at": _code(commit, "may_commit", _may_commit("base")),
    "lease looked at": _handler(lease.ConfirmLease, _nothing),
    "lease swapped": _handler(lease.SwapLease, _forced_swap),
    "every unit accounted for": _code(commit, "check_accounts", lambda one, ledger: None),
    "entries created": _handler(handlers.ledger.CreateEntry, _forced_entry),
    "new run over a replaced one": _code(adoption, "_is_over", _is_finished),
    "plans created": _handler(adoption.CreatePlan, _forced_plan),
    "base by content": _relied_on_transactions,
    "inputs checked": _unchecked_inputs,
    "vacuum's lease": _vacuum_without_lease,
    "vacuum's look at the lease": _vacuum_without_a_look,
    "vacuum's fence": _without_fence,
    "vacuum's fence before parts": _code(vacuum, "_removals", _unfenced_runs),
    "vacuum by all versions": _handler(vacuum.ReadLog, _named_live_only),
    "vacuum by entries": _code(vacuum, "orphaned_parts", _all_orphans),
    "vacuum by the store's clock": _handler(vacuum.StoreClock, _own_clock),
}
"""Guards by name, and the protocol without each."""
