"""Which run a call works on: one that it continues, or a new one."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.errors import HeldError, InputError
from pipeline.protocol.commit import OpenTable
from pipeline.protocol.fingerprint import declared, in_words
from pipeline.protocol.lease import ConfirmLease
from pipeline.protocol.plan import Plan
from pipeline.protocol.steps import Instruction, Steps


@dataclass(frozen=True)
class ReadPlans(Instruction[list[Plan]]):
    """Read the plans of all runs of the output, newest first."""


@dataclass(frozen=True)
class CreatePlan(Instruction[bool]):
    """Write a new run's plan if there is none of its name; False if there is."""

    plan: Plan


@dataclass(frozen=True)
class IsFinished(Instruction[bool]):
    """Ask whether nothing is left to do of a run: it is committed, and its summary is there."""

    plan: Plan


@dataclass(frozen=True)
class PartsRemoved(Instruction[bool]):
    """Ask whether a vacuum has removed the parts of a run."""

    plan: Plan


def adopt(draft: Plan, output: str, epoch: int, new_run: bool = False) -> Steps[Plan]:
    """Write the plan of a new run, or find the run that it continues; under the lease of that epoch.

    Parameters
    ----------
    output
        Named in what is refused.
    new_run
        Start afresh, unless the latest run is itself an unfinished one of the same fingerprint: the same
        command given again continues what it began.

    Raises
    ------
    InputError
        If the output's latest run has another fingerprint, naming what changed, and `new_run` isn't set.
    HeldError
        If someone else planned the same run at this moment.
    """
    plan, begun = yield from foresee(draft, output, new_run)
    if begun:
        return plan
    plan = plan.model_copy(update={"epoch": epoch})
    yield from ConfirmLease()
    if not (yield from CreatePlan(plan)):
        raise HeldError(f"run {plan.run} was planned by someone else at this moment; try again")
    return plan


def foresee(draft: Plan, output: str, new_run: bool = False) -> Steps[tuple[Plan, bool]]:
    """The plan that `adopt` would come to, and whether it is there already; nothing is written.

    Raises
    ------
    InputError
        As `adopt`.
    """
    plans = yield from ReadPlans()
    latest = plans[0] if plans else None
    if latest is not None:
        if not same_work(latest, draft):
            if not new_run:
                committed = yield from _is_committed(latest)
                raise InputError(f"{output} {_refusal(latest, draft, committed)}")
        elif not (yield from _is_lost(latest)) and not (new_run and (yield from _is_over(latest))):
            return latest, True
    return (yield from _numbered(draft, latest.sequence + 1 if latest else 1)), False


def same_work(plan: Plan, draft: Plan) -> bool:
    """Whether a run is made from what a draft of the present version names."""
    return declared(plan.fingerprint) == draft.fingerprint


def _is_lost(plan: Plan) -> Steps[bool]:
    """Whether a run can never be committed: its parts were removed, and the catalogue doesn't know it.

    It had been replaced by another whose folder is gone, or the catalogue is gone, or an older copy of it.
    """
    return (yield from PartsRemoved(plan)) and not (yield from _is_committed(plan))


def _is_over(plan: Plan) -> Steps[bool]:
    """Whether nothing more comes of a run: it is finished, or was committed and its rows were replaced."""
    if (yield from IsFinished(plan)):
        return True
    table = yield from OpenTable(plan.run)
    return table is not None and table.made is not None and table.run != plan.run


def _is_committed(plan: Plan) -> Steps[bool]:
    table = yield from OpenTable(plan.run)
    return table is not None and table.made is not None


def _numbered(draft: Plan, sequence: int) -> Steps[Plan]:
    """A draft with the first number from `sequence` on whose run the catalogue never took.

    It may have taken runs whose folders were removed since.
    """
    while True:
        run = draft.run if sequence == 1 else f"{draft.run}-{sequence}"
        plan = draft.model_copy(update={"run": run, "sequence": sequence})
        if not (yield from _is_committed(plan)):
            return plan
        sequence += 1


def _refusal(latest: Plan, draft: Plan, committed: bool) -> str:
    """Why an output's latest run isn't continued, and what to do."""
    if latest.kept is not None or latest.base is not None:
        state = "was brought up to date" if committed else "is about to be brought up to date"
        return (
            f"{state} by `refresh` (run {latest.run}); go on with that, name another "
            "output, or start afresh with new_run=true (the catalogue's history is kept)"
        )
    before = declared(latest.fingerprint)
    after = draft.fingerprint
    changed = [key for key in after | before if before.get(key) != after.get(key)]
    details = "; ".join(_change(key, latest, draft) for key in changed)
    refresh = ""
    if committed and set(changed) <= {"input", "schema", "classes"}:
        anew = "only what is new or has changed" if "input" in changed else "nothing anew for this"
        refresh = f". `tuningfork refresh` brings it up to date, and classifies {anew}"
    return (
        f"holds run {latest.run}, made from something else: {details}. Name another output, or start "
        f"afresh with new_run=true (the catalogue's history is kept){refresh}"
    )


def _change(key: str, old: Plan, new: Plan) -> str:
    """What changed, in words."""
    if key == "input":
        before = {shard.uri: shard for shard in old.shards}
        after = {shard.uri: shard for shard in new.shards}
        added, gone = len(after.keys() - before.keys()), len(before.keys() - after.keys())
        changed = [uri for uri in after.keys() & before.keys() if after[uri] != before[uri]]
        example = f", such as {min(changed)}" if changed else ""
        return f"input ({added} shards added, {gone} gone, {len(changed)} changed{example})"
    return in_words(key, declared(old.fingerprint).get(key), new.fingerprint.get(key))
