"""One call of `classify` or `refresh`, from the lease to the summary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pipeline.errors import InputError
from pipeline.protocol.adoption import IsFinished, ReadPlans, adopt, foresee, same_work
from pipeline.protocol.commit import OpenTable, TableState, check_replaceable, commit, standing_table
from pipeline.protocol.lease import ConfirmLease, HoldLease, ReleaseLease
from pipeline.protocol.ledger import Ledger, ReadLedger
from pipeline.protocol.plan import Plan, WorkUnit
from pipeline.protocol.steps import Instruction, Steps


@dataclass(frozen=True)
class Base:
    """The version of the catalogue whose rows a refresh may keep.

    Attributes
    ----------
    version
        Number of that version.
    plan
        Plan of the run that wrote it; None if something else did, such as a restore, or if the plan is
        gone: then nothing is known of the rows but what they say themselves.
    """

    version: int
    plan: Plan | None


@dataclass(frozen=True)
class DrawPlan(Instruction[Plan | None]):
    """Plan a run from the source as it is now; None if there is nothing to do.

    A refresh names its `base`. A plan whose run is the base's own says that this run is to be finished.
    """

    base: Base | None = None


@dataclass(frozen=True)
class DoUnits(Instruction[None]):
    """Do the pending units of a run, until each has its entry in the ledger."""

    plan: Plan
    pending: Sequence[WorkUnit]


@dataclass(frozen=True)
class BeginRun(Instruction[None]):
    """Keep beside the plan what the run works by; `done` of its units are done already."""

    plan: Plan
    done: int


@dataclass(frozen=True)
class EndRun(Instruction[None]):
    """Write what is told of a committed run: its report and, last of all, its summary."""

    plan: Plan
    ledger: Ledger
    resumed: bool


@dataclass(frozen=True)
class Outcome:
    """How a call ended.

    Attributes
    ----------
    status
        ``done``: this call finished the run; ``complete``: an earlier one had; ``unchanged``: a refresh had
        nothing to do; ``due``: a dry run, which leaves the work to be done.
    plan
        Plan of the run whose rows the catalogue holds, or would hold.
    """

    status: Literal["done", "complete", "unchanged", "due"]
    plan: Plan


def classify(output: str, new_run: bool = False) -> Steps[Outcome]:
    """Classify a cutout set; called again, this continues where it was.

    Parameters
    ----------
    output
        Named in what is refused.
    new_run
        Start afresh although the output holds a run made from something else.

    Raises
    ------
    InputError
        If the output holds another run, its catalogue was changed since by something else, or the rows of
        the catalogue may not be replaced.
    HeldError
        If another run works on the output.
    """
    draft = yield from DrawPlan()
    assert draft is not None
    if not new_run:
        complete = yield from _complete(draft)
        if complete is not None:
            return Outcome("complete", complete)
    epoch = yield from HoldLease((yield from _last_epoch()))
    try:
        check_replaceable((yield from standing_table()))
        plan = yield from adopt(draft, output, epoch, new_run)
        yield from carry_out(plan, epoch)
        return Outcome("done", plan)
    finally:
        yield from ReleaseLease()


def try_out(output: str, new_run: bool = False) -> Steps[Outcome]:
    """What `classify` would do, refused as it would be; nothing is written, and no lease is asked for.

    Raises
    ------
    InputError
        As `classify`.
    """
    draft = yield from DrawPlan()
    assert draft is not None
    complete = None if new_run else (yield from _complete(draft))
    if complete is not None:
        return Outcome("complete", complete)
    table = yield from OpenTable()
    if table is not None:
        check_replaceable(table)
    plan, _ = yield from foresee(draft, output, new_run)
    return Outcome("due", plan)


def refresh(output: str) -> Steps[Outcome]:
    """Bring the catalogue up to date with its source.

    Raises
    ------
    InputError
        If there is something to do, and the rows of the catalogue may not be replaced.
    HeldError
        If another run works on the output.
    """
    epoch = yield from HoldLease((yield from _last_epoch()))
    try:
        table = yield from standing_table()
        plans = yield from ReadPlans()
        base = base_of(table, plans)
        draft = yield from DrawPlan(base)
        if draft is None:
            assert base is not None
            assert base.plan is not None
            return Outcome("unchanged", base.plan)
        own = base is not None and base.plan is not None and draft.run == base.plan.run
        if not own:
            check_replaceable(table)
            draft = yield from adopt(draft, output, epoch, new_run=True)
        yield from carry_out(draft, epoch)
        return Outcome("done", draft)
    finally:
        yield from ReleaseLease()


def base_of(table: TableState, plans: Sequence[Plan]) -> Base | None:
    """The rows that a refresh starts from; None if no run was committed yet.

    A run's plan is relied on only where the table still holds just what that run wrote.
    """
    if table.content is None:
        return None
    return Base(table.content, next((plan for plan in plans if plan.run == table.run), None))


def carry_out(plan: Plan, epoch: int) -> Steps[None]:
    """Do what is planned, from its first pending unit to the summary; under the lease of this epoch."""
    yield from ConfirmLease()
    done = ledger = yield from ReadLedger(plan)
    yield from BeginRun(plan, len(done))
    pending = [unit for unit in plan.units() if unit.index not in done]
    if pending:
        yield from DoUnits(plan, pending)
        ledger = yield from ReadLedger(plan)
    yield from commit(plan, ledger, epoch)
    yield from ConfirmLease()
    yield from check_held(plan)
    yield from EndRun(plan, ledger, resumed=bool(done))


def check_held(plan: Plan) -> Steps[None]:
    """Check that the catalogue still holds the rows of a committed run.

    Raises
    ------
    InputError
        If something else has written to it since.
    """
    table = yield from OpenTable(plan.run)
    if table is None or table.run != plan.run:
        raise InputError(
            f"run {plan.run} is committed, but the catalogue no longer holds its rows: something else has "
            "written to it since; bring it up to date with `refresh`, or start afresh with new_run=true"
        )


def _last_epoch() -> Steps[int]:
    table = yield from OpenTable()
    return 0 if table is None else table.epoch


def _complete(draft: Plan) -> Steps[Plan | None]:
    """The run that is asked for, if nothing is left to do of it: the latest, or the one that the table holds.

    The latest may be a refresh that was cut short, and that nobody wants any more.
    """
    plans = yield from ReadPlans()
    table = yield from OpenTable()
    held = [plan for plan in plans if table is not None and plan.run == table.run]
    plan = next((plan for plan in plans[:1] + held if same_work(plan, draft)), None)
    if plan is None or not (yield from IsFinished(plan)):
        return None
    yield from check_held(plan)
    return plan
