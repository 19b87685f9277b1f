"""The commit of a run: every unit accounted for, then one version of the catalogue, written just once.

The catalogue is a table whose versions are a log: version n + 1 can be written by one writer alone, and only
by one that says so. That is what a commit rests on. It reads the table, decides, and writes just the version
after the one that it read; if another writer was faster it decides anew, on what that one left.

References
----------
Armbrust et al. 2020, Delta Lake: high-performance ACID table storage over cloud object stores, PVLDB 13,
3411; the protocol, https://github.com/delta-io/delta/blob/master/PROTOCOL.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pipeline.errors import HeldError, InputError, RunError
from pipeline.protocol.lease import ConfirmLease, Sleep
from pipeline.protocol.ledger import Ledger, check_accounts
from pipeline.protocol.plan import Plan
from pipeline.protocol.steps import Instruction, Steps

PAUSES = (1.0, 2.0, 4.0)
"""Seconds to wait after each failed attempt to write a version; one failure more ends the commit."""

_RIVALS = 10
"""Times that another writer may be faster before a commit gives up."""


class Unclear(Exception):
    """A write failed, and whether it landed is not known; `error` says how, for the user."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


@dataclass(frozen=True)
class TableState:
    """A table as it stands.

    Attributes
    ----------
    version
        The newest version of it.
    content
        The version whose rows it holds: the newest but for those that changed no row; None if none ever did.
    run
        The run whose rows these are; None if something else wrote them.
    made
        The version under which it took a certain run (see `OpenTable`); None if it never did.
    epoch
        The latest epoch of the lease under which it was written; 0 if none is recorded.
    append_only
        Whether its properties say that no row may ever be taken from it.
    """

    version: int
    content: int | None
    run: str | None
    made: int | None
    epoch: int
    append_only: bool = False


@dataclass(frozen=True)
class OpenTable(Instruction[TableState | None]):
    """Open the table: its state now, with what it knows of a run; None if there is no table."""

    run: str | None = None


@dataclass(frozen=True)
class CreateTable(Instruction[None]):
    """Make the table, empty, as version 0; one that is there already stays as it is."""


@dataclass(frozen=True)
class WriteFiles(Instruction[Any]):
    """Make all rows of the next version durable, in new files that no version names yet."""

    plan: Plan
    ledger: Ledger


@dataclass(frozen=True)
class CheckInputs(Instruction[None]):
    """Make sure that every input shard is still the one that was planned."""

    plan: Plan


@dataclass(frozen=True)
class WriteVersion(Instruction[bool]):
    """Write this version of the table, if the one before it is the newest; False if it isn't.

    Attributes
    ----------
    plan
        The run whose files replace all others; None for a version that changes no row.
    epoch
        Epoch of the lease under which it is written, recorded with it.
    """

    version: int
    plan: Plan | None
    epoch: int
    files: Any = ()


def standing_table(run: str | None = None) -> Steps[TableState]:
    """The table, made if there is none.

    So there is never a first commit, which could not be told from another first one.
    """
    table = yield from OpenTable(run)
    while table is None:
        yield from CreateTable()
        table = yield from OpenTable(run)
    return table


def check_replaceable(table: TableState) -> None:
    """Check that a run may put its rows in the place of those that a table holds.

    Raises
    ------
    InputError
        If the table's properties forbid it.
    """
    if table.append_only and table.content is not None:
        raise InputError(
            "the catalogue's property delta.appendOnly is true, and a run replaces the catalogue's rows; "
            "set it to false, or name another output"
        )


def may_commit(plan: Plan, table: TableState, epoch: int) -> bool:
    """Whether a run is to be committed over a table; False if it is committed already.

    Raises
    ------
    HeldError
        If a later holder of the lease has written to the table.
    RunError
        If the rows that the run keeps are no longer those that the table holds.
    """
    if table.made is not None:
        return False
    if table.epoch > epoch:
        raise HeldError("a later run has written to the catalogue; this one stops")
    if plan.kept is not None and table.content != plan.kept:
        raise RunError(
            f"the catalogue has changed while run {plan.run} worked (its rows were those of version "
            f"{plan.kept}, and are those of {table.content} now); run the same command again"
        )
    return True


def commit(plan: Plan, ledger: Ledger, epoch: int) -> Steps[None]:
    """Commit a run; doing it twice changes nothing.

    Everything that decides is looked at again when all files are durable, immediately before the version is
    written; and what happens after that look makes the write fail, for it names its version.

    Raises
    ------
    InputError
        If a unit is not accounted for, or an input was rewritten.
    HeldError
        If another run has taken the lease over, or a later one has committed.
    RunError
        If the catalogue has changed, or the store keeps failing.
    """
    check_accounts(plan, ledger)
    if not may_commit(plan, (yield from standing_table(plan.run)), epoch):
        return
    files = yield from WriteFiles(plan, ledger)
    yield from CheckInputs(plan)
    pauses = list(PAUSES)
    for _ in range(_RIVALS):
        table = yield from standing_table(plan.run)
        if not may_commit(plan, table, epoch):
            return
        yield from ConfirmLease()
        try:
            if (yield from WriteVersion(table.version + 1, plan, epoch, files)):
                return
        except Unclear as unclear:
            if not pauses:
                raise unclear.error from unclear
            yield from Sleep(pauses.pop(0))
    raise RunError(f"run {plan.run} could not be committed: others keep writing to the catalogue; try again")
