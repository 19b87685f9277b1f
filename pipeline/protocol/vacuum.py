"""What an output no longer needs: decided from its files, its ledgers and its table's log.

What is removed can't be needed later, whoever sleeps meanwhile. A part is removed only when its unit has an
entry, for an entry is written once and names others. A file of the catalogue, or a part of a run that was not
committed, is removed only behind a fence: a version written by the vacuum itself, which keeps out every
commit that might have been about to need it. So a vacuum may sleep, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from pipeline import storage
from pipeline.errors import InputError
from pipeline.protocol.adoption import ReadPlans
from pipeline.protocol.commit import OpenTable, Unclear, WriteVersion
from pipeline.protocol.layout import is_part, is_temporary
from pipeline.protocol.lease import ConfirmLease, HoldLease, ReleaseLease
from pipeline.protocol.ledger import Ledger, LedgerEntry, ReadLedger
from pipeline.protocol.plan import Plan
from pipeline.protocol.steps import Instruction, Steps

IN_USE = timedelta(hours=1).total_seconds()
"""Seconds: a temporary file that is younger may be one that is being written."""

CATALOGUE = "catalogue"


@dataclass(frozen=True)
class Options:
    """What a vacuum is to do.

    Attributes
    ----------
    grace
        Seconds; younger files are left alone.
    parts
        Whether to remove the parts of committed runs, which the catalogue no longer needs.
    history
        Whether to remove files that only superseded versions need, past the table's retention time.
    dry_run
        Whether to tell what would be removed, and remove nothing.
    """

    grace: float
    parts: bool = False
    history: bool = False
    dry_run: bool = False


@dataclass(frozen=True)
class Removal:
    """Files that can go, and why; nothing to remove, with a reason, where something had to be left alone.

    Attributes
    ----------
    about
        The run that they belong to, or the catalogue.
    what
        What they are, and why they can go.
    marker
        File that is written first, to say that the removal was meant.
    fenced
        Whether a commit may be about to need the files, and has to be kept out first.
    """

    about: str
    what: str
    files: tuple[storage.FileInfo, ...]
    marker: str | None = None
    fenced: bool = False

    @property
    def bytes(self) -> int:
        """How many bytes the files have together."""
        return sum(file.size for file in self.files)


@dataclass(frozen=True)
class RunFiles:
    """All that an output holds of one run.

    Attributes
    ----------
    latest
        Whether it is the output's latest: only that one is ever continued.
    files
        All that lies in its folder; listed before its ledger was read, for a part is there before its entry.
    ledger
        The run's ledger, or a sentence of what is wrong with it.
    """

    plan: Plan
    latest: bool
    committed: bool
    files: Sequence[storage.FileInfo]
    ledger: Ledger | str


@dataclass(frozen=True)
class TableLog:
    """What the log of a table says of its files, by their names.

    Attributes
    ----------
    live
        Files of the newest version.
    named
        Files that any version in the log names.
    superseded
        Files that no longer belong to the table: when the last version that dropped them was written, by the
        store's clock.
    retention
        Seconds for which the table wants such files kept.
    """

    live: frozenset[str]
    named: frozenset[str]
    superseded: Mapping[str, float]
    retention: float


@dataclass(frozen=True)
class StoreClock(Instruction[float]):
    """Ask for the time by the store's own clock, which also dates its files; seconds since 1970."""


@dataclass(frozen=True)
class ListOutput(Instruction[list[storage.FileInfo]]):
    """List the files right in the output's folder, without those in folders below it."""


@dataclass(frozen=True)
class ListRun(Instruction[list[storage.FileInfo]]):
    """List all files of a run."""

    run: str


@dataclass(frozen=True)
class ListCatalogue(Instruction[list[storage.FileInfo]]):
    """List the data files in the catalogue's folder, whether a version names them or not."""


@dataclass(frozen=True)
class ReadLog(Instruction[TableLog]):
    """Read what the log of the table says of its files."""


@dataclass(frozen=True)
class Remove(Instruction[None]):
    """Remove the files of a `Removal`."""

    removal: Removal


def vacuum(options: Options) -> Steps[list[Removal]]:
    """Remove what no run needs, under the lease of the output.

    Never among it: plans, ledger entries, summaries and quarantines, a file that is not of this output's own
    making, or anything that the latest run may still need.

    Raises
    ------
    InputError
        If the output holds no run.
    HeldError
        If a run works on it, or has taken the lease over.
    """
    table = yield from OpenTable()
    if options.dry_run:
        return (yield from _vacuum(options, 0))
    epoch = yield from HoldLease(0 if table is None else table.epoch)
    try:
        return (yield from _vacuum(options, epoch))
    finally:
        yield from ReleaseLease()


def _vacuum(options: Options, epoch: int) -> Steps[list[Removal]]:
    """Look, fence, remove.

    The fence is the version after the one that was there before the look: nothing was committed meanwhile.
    The lease is confirmed after the look: nothing seen is a successor's, whom the fence wouldn't keep out.
    """
    now = yield from StoreClock()
    while True:
        table = yield from OpenTable()
        removals = yield from _removals(options, now)
        if table is None:
            removals = [removal for removal in removals if not removal.fenced]
        if options.dry_run:
            return removals
        if table is None or not any(removal.fenced for removal in removals):
            break
        yield from ConfirmLease()
        try:
            if (yield from WriteVersion(table.version + 1, None, epoch)):
                break
        except Unclear as unclear:
            raise unclear.error from unclear
    for removal in removals:
        yield from Remove(removal)
    return removals


def _removals(options: Options, now: float) -> Steps[list[Removal]]:
    """All that can be removed of an output."""
    plans = yield from ReadPlans()
    if not plans:
        raise InputError("it is no output of classify: expected runs/<run>/plan.json below it")
    removals = list(temporaries("the output", (yield from ListOutput()), options, now))
    for plan in plans:
        files = yield from ListRun(plan.run)
        table = yield from OpenTable(plan.run)
        committed = table is not None and table.made is not None
        try:
            ledger: Ledger | str = yield from ReadLedger(plan)
        except InputError as error:
            ledger = str(error)
        removals += run_removals(RunFiles(plan, plan is plans[0], committed, files, ledger), options, now)
    if (yield from OpenTable()) is not None:
        files = yield from ListCatalogue()
        removals += catalogue_removals(files, (yield from ReadLog()), options, now)
    return removals


def temporaries(
    about: str, files: Iterable[storage.FileInfo], options: Options, now: float
) -> Iterator[Removal]:
    """What is left of writes that were cut short."""
    old = _older(filter(lambda file: is_temporary(file.uri), files), max(options.grace, IN_USE), now)
    if old:
        yield Removal(about, "leftovers of writes that were cut short", old)


def run_removals(run: RunFiles, options: Options, now: float) -> Iterator[Removal]:
    """What can be removed of a run."""
    about = f"run {run.plan.run}"
    yield from temporaries(about, run.files, options, now)
    parts = [file for file in run.files if is_part(file.uri)]
    if not run.committed and not run.latest:
        old = _older(parts, max(options.grace, IN_USE), now)
        if old:
            what = "parts of a run that a later one replaced before its commit"
            yield Removal(about, what, old, _marker(old), fenced=True)
        return
    if isinstance(run.ledger, str):
        yield Removal(about, f"left alone, since its ledger is damaged: {run.ledger}", ())
        return
    if run.committed and len(run.ledger) != run.plan.unit_count:
        lacking = f"its ledger has {len(run.ledger)} of {run.plan.unit_count} units: see `tuningfork verify`"
        yield Removal(about, f"left alone, since {lacking}", ())
        return
    orphans = _older(orphaned_parts(parts, run.ledger), options.grace, now)
    if orphans:
        yield Removal(about, "orphans: parts that no ledger entry names", orphans)
    if options.parts and run.committed:
        yield from _committed_parts(about, run, parts)


def orphaned_parts(
    files: Iterable[storage.FileInfo], ledger: Mapping[int, LedgerEntry]
) -> list[storage.FileInfo]:
    """Parts that no entry names or ever will: a second writer's, or a killed one's.

    Of a unit without an entry there is none: its writer may only be slow, and about to enter them.
    """
    named = _named_parts(ledger)
    return [
        file
        for file in files
        if is_part(file.uri) and storage.name(file.uri) not in named and unit_of(file) in ledger
    ]


def unit_of(part: storage.FileInfo) -> int:
    """The unit that a part is of."""
    return int(storage.name(part.uri)[:8])


def _committed_parts(about: str, run: RunFiles, parts: Sequence[storage.FileInfo]) -> Iterator[Removal]:
    assert not isinstance(run.ledger, str)
    quarantines = [file for file in run.files if storage.name(file.uri) == "quarantine.parquet"]
    if not quarantines:
        yield Removal(about, "its parts are left alone, since its quarantine.parquet is gone", ())
        return
    named = _named_parts(run.ledger)
    stored = tuple(file for file in parts if storage.name(file.uri) in named)
    if stored:
        what = "parts, whose rows the catalogue and quarantine hold"
        yield Removal(about, what, stored, _marker(stored))


def _marker(parts: Sequence[storage.FileInfo]) -> str:
    """What tells of a run that its parts were removed, beside the folder of its parts."""
    folder, _, _ = parts[0].uri.rpartition("/")
    return storage.join(folder.rpartition("/")[0], "parts-removed.json")


def catalogue_removals(
    files: Iterable[storage.FileInfo], log: TableLog, options: Options, now: float
) -> Iterator[Removal]:
    """Files that no version ever named and, if asked for, those that only superseded versions need.

    `files` must have been listed before the log was read: a file is there before a version names it.
    """
    files = list(files)
    unnamed = [file for file in files if storage.name(file.uri) not in log.named]
    old = _older(unnamed, max(options.grace, IN_USE), now)
    if old:
        what = "files of commits that were cut short, or of versions that the log has forgotten"
        yield Removal(CATALOGUE, what, old, fenced=True)
    if options.history:
        dropped = tuple(
            file
            for file in files
            if storage.name(file.uri) not in log.live
            and now - log.superseded.get(storage.name(file.uri), now) > log.retention
        )
        if dropped:
            yield Removal(CATALOGUE, "files of superseded versions, past the table's retention time", dropped)


def _named_parts(ledger: Mapping[int, LedgerEntry]) -> set[str]:
    return {table.name for entry in ledger.values() for table in entry.stored}


def _older(files: Iterable[storage.FileInfo], age: float, now: float) -> tuple[storage.FileInfo, ...]:
    return tuple(file for file in files if now - file.modified > age)
