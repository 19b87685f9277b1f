"""Vacuum of an output in its store; see `pipeline.protocol.vacuum`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from pipeline import storage
from pipeline.catalogue.table import read_log, table_handlers
from pipeline.errors import InputError
from pipeline.protocol.adoption import ReadPlans
from pipeline.protocol.layout import RunLayout, catalogue_uri
from pipeline.protocol.ledger import ReadLedger
from pipeline.protocol.records.lease import LeaseKeeper
from pipeline.protocol.records.ledger import read_ledger
from pipeline.protocol.records.plans import read_plans
from pipeline.protocol.steps import perform
from pipeline.protocol.vacuum import (
    ListCatalogue,
    ListOutput,
    ListRun,
    Options,
    ReadLog,
    Removal,
    Remove,
    StoreClock,
    vacuum,
)

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


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


def vacuum_output(
    output: str, options: Options, on_removal: Callable[[Removal], None] = lambda removal: None
) -> list[Removal]:
    """Remove what no run of an output needs; all that was removed, or would be.

    Parameters
    ----------
    on_removal
        Called before files are removed.

    Raises
    ------
    InputError
        If `output` holds no run, or a plan can't be read.
    HeldError
        If a run works on it.
    """
    if not read_plans(output):
        raise InputError(f"{output} is no output of classify: expected {output}/runs/<run>/plan.json")

    def remove(instruction: Remove) -> None:
        on_removal(instruction.removal)
        apply_removal(instruction.removal)

    catalogue = catalogue_uri(output)
    handlers = {
        **LeaseKeeper(output, "vacuum").handlers,
        **table_handlers(output),
        StoreClock: lambda _: storage.clock(output, may_write=not options.dry_run),
        ReadPlans: lambda _: read_plans(output),
        ReadLedger: lambda instruction: read_ledger(RunLayout(output, instruction.plan.run)),
        ListOutput: lambda _: _files_in(output),
        ListRun: lambda instruction: storage.list_files(RunLayout(output, instruction.run).folder),
        ListCatalogue: lambda _: [file for file in _files_in(catalogue) if file.uri.endswith(".parquet")],
        ReadLog: lambda _: read_log(output),
        Remove: remove,
    }
    return perform(vacuum(options), handlers)


def apply_removal(removal: Removal) -> None:
    """Remove files, their marker written first."""
    if removal.marker is not None:
        storage.write_bytes(removal.marker, json.dumps({"removed": datetime.now(UTC).isoformat()}).encode())
    for file in removal.files:
        storage.remove(file.uri)


def _files_in(folder: str) -> list[storage.FileInfo]:
    """Files right in a folder, and not in one below it."""
    depth = storage.absolute(folder).rstrip("/").count("/") + 1
    return [file for file in storage.list_files(folder) if file.uri.count("/") == depth]
