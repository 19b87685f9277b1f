"""Removing what no run needs: orphaned parts, leftovers of killed writes, superseded catalogue files."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from urllib.parse import unquote

from deltalake import DeltaTable

from pipeline import storage
from pipeline.catalogue.layout import RunLayout, catalogue_uri, is_part, is_temporary, runs_folder
from pipeline.catalogue.ledger import LedgerEntry, orphaned_parts, read_ledger
from pipeline.catalogue.plan import Plan, read_plans
from pipeline.catalogue.snapshot import open_catalogue
from pipeline.errors import InputError

_IN_USE = timedelta(hours=1)
"""Younger than this, a file may be one that a running job is about to enter into its ledger."""

_CATALOGUE = "catalogue"
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


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
    """

    about: str
    what: str
    files: tuple[storage.FileInfo, ...]
    marker: str | None = None

    @property
    def bytes(self) -> int:
        """Their size."""
        return sum(file.size for file in self.files)


def parse_duration(text: str) -> timedelta:
    """A duration such as ``90m``, ``24h`` or ``7d``.

    Raises
    ------
    ValueError
        If it is anything else.
    """
    match = re.fullmatch(r"([0-9]{1,6})([smhdw])", text)
    if match is None:
        raise ValueError(
            f"{text!r} is no duration; expected a number and s, m, h, d or w, such as 90m, 24h or 7d"
        )
    return timedelta(**{_UNITS[match[2]]: int(match[1])})


def find_removals(
    output: str,
    grace: timedelta,
    parts: bool = False,
    history: bool = False,
    now: datetime | None = None,
) -> Iterator[Removal]:
    """What can be removed of an output; removes nothing.

    Never among it: plans, ledger entries, summaries and quarantines, a file that is not of this output's own
    making, or anything that the latest run may still need.

    Parameters
    ----------
    grace
        Younger files are left alone.
    parts
        Include the parts of committed runs, which the catalogue no longer needs.
    history
        Include files that only superseded snapshots need, past the retention time of the table.
    now
        Time from which age counts.

    Raises
    ------
    InputError
        If `output` holds no run, or a plan can't be read.
    """
    now = datetime.now(UTC) if now is None else now
    plans = read_plans(output)
    if not plans:
        raise InputError(f"{output} is no output of classify: expected {runs_folder(output)}/<run>/plan.json")
    table = open_catalogue(catalogue_uri(output))
    yield from _temporaries(storage.name(output), _files_in(output), grace, now)
    for plan in plans:
        layout = RunLayout(output, plan.run)
        files = storage.list_files(layout.folder)  # before the ledger: a part is there before its entry
        committed = table is not None and table.transaction_version(plan.run) is not None
        yield from _temporaries(f"run {plan.run}", files, grace, now)
        if committed or plan is plans[-1]:
            yield from _run_removals(layout, plan, committed, files, grace, parts, now)
        else:
            yield from _abandoned_parts(plan, files, grace, now)
    if table is not None:
        yield from _catalogue_removals(catalogue_uri(output), table, grace, history)


def apply_removal(output: str, removal: Removal) -> None:
    """Remove what was found."""
    if removal.marker is not None:
        storage.write_bytes(removal.marker, json.dumps({"removed": datetime.now(UTC).isoformat()}).encode())
    for file in removal.files:
        storage.remove(file.uri)


def _run_removals(
    layout: RunLayout,
    plan: Plan,
    committed: bool,
    files: list[storage.FileInfo],
    grace: timedelta,
    parts: bool,
    now: datetime,
) -> Iterator[Removal]:
    about = f"run {plan.run}"
    try:
        ledger = read_ledger(layout)
    except InputError as error:
        yield Removal(about, f"left alone, since its ledger is damaged: {error}", ())
        return
    if committed and len(ledger) != plan.unit_count:
        lacking = f"its ledger has {len(ledger)} of {plan.unit_count} units: see `tuningfork verify`"
        yield Removal(about, f"left alone, since {lacking}", ())
        return

    def is_old(file: storage.FileInfo) -> bool:
        entered = committed or int(storage.name(file.uri)[:8]) in ledger
        return _age(file, now) > (grace if entered else max(grace, _IN_USE))

    orphans = tuple(file for file in orphaned_parts(files, ledger.values()) if is_old(file))
    if orphans:
        yield Removal(about, "orphans: parts that no ledger entry names", orphans)
    if parts and committed:
        yield from _committed_parts(layout, files, ledger)


def _abandoned_parts(
    plan: Plan, files: list[storage.FileInfo], grace: timedelta, now: datetime
) -> Iterator[Removal]:
    """Parts of a run that a later one replaced before its commit: only an output's latest run continues."""
    old = tuple(file for file in files if is_part(file.uri) and _age(file, now) > max(grace, _IN_USE))
    if old:
        yield Removal(f"run {plan.run}", "parts of a run that a later one replaced before its commit", old)


def _committed_parts(
    layout: RunLayout, files: list[storage.FileInfo], ledger: dict[int, LedgerEntry]
) -> Iterator[Removal]:
    about = f"run {layout.run}"
    if not storage.exists(layout.quarantine):
        yield Removal(about, f"its parts are left alone, since {layout.quarantine} is gone", ())
        return
    named = {table.name for entry in ledger.values() for table in entry.stored}
    stored = tuple(file for file in files if is_part(file.uri) and storage.name(file.uri) in named)
    if stored:
        yield Removal(
            about, "parts, whose rows the catalogue and quarantine hold", stored, layout.parts_removed
        )


def _temporaries(
    about: str, files: list[storage.FileInfo], grace: timedelta, now: datetime
) -> Iterator[Removal]:
    old = tuple(file for file in files if is_temporary(file.uri) and _age(file, now) > max(grace, _IN_USE))
    if old:
        yield Removal(about, "leftovers of writes that were cut short", old)


def _catalogue_removals(uri: str, table: DeltaTable, grace: timedelta, history: bool) -> Iterator[Removal]:
    """Files that no snapshot ever named, and, if asked for, those that only superseded snapshots need."""
    hours = math.ceil(max(grace, _IN_USE) / timedelta(hours=1))
    named = set(table.vacuum(retention_hours=hours, enforce_retention_duration=False))
    every = set(table.vacuum(retention_hours=hours, enforce_retention_duration=False, full=True))
    yield from _removal(uri, every - named, "files of commits that were cut short")
    if history:
        superseded = set(table.vacuum())
        yield from _removal(uri, superseded, "files of superseded snapshots, past the table's retention time")


def _removal(uri: str, paths: set[str], what: str) -> Iterator[Removal]:
    names = {storage.name(unquote(path)) for path in paths}
    files = tuple(file for file in storage.list_files(uri, ".parquet") if storage.name(file.uri) in names)
    if files:
        yield Removal(_CATALOGUE, what, files)


def _files_in(folder: str) -> list[storage.FileInfo]:
    """Files right in a folder, and not in one below it."""
    depth = storage.absolute(folder).rstrip("/").count("/") + 1
    return [file for file in storage.list_files(folder) if file.uri.count("/") == depth]


def _age(file: storage.FileInfo, now: datetime) -> timedelta:
    """Age of a file; one that has gone meanwhile is as young as can be."""
    fs, path = storage.filesystem(file.uri)
    try:
        modified: datetime = fs.modified(path)
    except FileNotFoundError:
        return timedelta(0)
    return now - (modified if modified.tzinfo else modified.replace(tzinfo=UTC))
