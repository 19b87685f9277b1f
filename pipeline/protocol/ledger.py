"""The ledger: one entry a finished work unit, written once, after the unit's files are durable."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import Field, model_validator

from pipeline.config import StrictModel
from pipeline.errors import InputError
from pipeline.protocol.plan import Plan
from pipeline.protocol.steps import Instruction, Steps


class StoredTable(StrictModel):
    """A Parquet file of a unit: its name in the parts folder, and what it must contain."""

    name: str
    rows: int
    bytes: int
    sha256: str


class LedgerEntry(StrictModel):
    """What became of a unit's rows: rows in = classified + quarantined.

    Attributes
    ----------
    part
        Rows for the catalogue; None if all were quarantined.
    rejects
        Quarantined rows; None if there are none.
    quarantined
        How many rows were quarantined, by reason.
    seconds
        Time spent on the unit by stage.
    replaced
        Classified ``galaxies`` of which bad ``pixels`` were replaced; empty if none was.
    left_to_cpu
        JPEGs that were to be decoded by a GPU and were by the CPU: refused, or made into another picture.
    attempt
        Tells this writing of the unit from others; part of its files' names.
    finished
        When the entry was written, ISO 8601 in UTC; None in entries of before there was such a stamp.
    """

    unit: int
    rows: int
    classified: int
    quarantined: dict[str, int]
    part: StoredTable | None
    rejects: StoredTable | None
    seconds: dict[str, float]
    node: str
    replaced: dict[str, int] = Field(default_factory=dict)
    left_to_cpu: int = 0
    attempt: str | None = None
    finished: str | None = None

    @property
    def stored(self) -> tuple[StoredTable, ...]:
        """The unit's files in the parts folder."""
        return tuple(table for table in (self.part, self.rejects) if table is not None)

    @model_validator(mode="after")
    def _balanced(self) -> LedgerEntry:
        if self.rows != self.classified + sum(self.quarantined.values()):
            raise ValueError(
                f"unit {self.unit}: {self.rows} rows in, {self.classified} classified and "
                f"{sum(self.quarantined.values())} quarantined"
            )
        return self


Ledger = Mapping[int, LedgerEntry]
"""Entries of the finished units, by unit."""


@dataclass(frozen=True)
class StoreUnit(Instruction[LedgerEntry]):
    """Make a unit's files durable, under names that no other attempt has; the answer is their entry."""


@dataclass(frozen=True)
class CreateEntry(Instruction[bool]):
    """Write a ledger entry if the unit has none; False if it has."""

    entry: LedgerEntry


@dataclass(frozen=True)
class ReadEntry(Instruction[LedgerEntry]):
    """Read the entry that stands for a unit."""

    unit: int


@dataclass(frozen=True)
class ReadLedger(Instruction[Ledger]):
    """Read the ledger of a run as it is now."""

    plan: Plan


def enter_unit() -> Steps[LedgerEntry]:
    """Make a unit's rows durable, then enter it; the entry that stands, be it another writer's."""
    entry = yield from StoreUnit()
    if (yield from CreateEntry(entry)):
        return entry
    return (yield from ReadEntry(entry.unit))


def check_accounts(plan: Plan, ledger: Ledger) -> None:
    """Check that every unit of a plan is accounted for.

    Raises
    ------
    InputError
        If one has no entry, or an entry of another number of rows.
    """
    units = list(plan.units())
    missing = [unit.index for unit in units if unit.index not in ledger]
    if missing:
        raise InputError(
            f"{len(missing)} of {len(units)} units are not finished, first unit {missing[0]}; "
            "run the same command again"
        )
    for unit in units:
        if ledger[unit.index].rows != unit.rows:
            raise InputError(
                f"unit {unit.index} of run {plan.run} has {unit.rows} rows in the plan and "
                f"{ledger[unit.index].rows} in its ledger entry; remove the entry and run the same command "
                "again"
            )


def quarantine_counts(ledger: Ledger) -> Counter[str]:
    """Quarantined rows of all units, by reason."""
    counts: Counter[str] = Counter()
    for entry in ledger.values():
        counts.update(entry.quarantined)
    return counts
