"""Status: how far the runs of an output are."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import timedelta

from rich.console import Console
from rich.table import Table

from pipeline.config import StrictModel
from pipeline.logs import log_event, logs_json
from pipeline.places import TablePlace
from pipeline.upkeep import RunStatus, output_status


class StatusConfig(StrictModel):
    """What `tuningfork status` takes.

    Attributes
    ----------
    output
        The output of `classify`, finished or in progress.
    """

    output: TablePlace


def run(config: StatusConfig, as_json: bool = False) -> None:
    """Print how far each run is, latest first.

    Raises
    ------
    InputError
        If `output` is no output of `classify`, or a plan or ledger entry is damaged.
    """
    runs = output_status(config.output)
    if as_json:
        print(json.dumps([status.model_dump() for status in runs], indent=1))  # a document, no message
        return
    if logs_json():
        for status in runs:
            log_event("status", **status.model_dump())
        return
    console = Console(highlight=False, soft_wrap=True)
    for status in runs:
        table = Table.grid(padding=(0, 2))
        for label, value in rows(status):
            table.add_row(f"[bold]{label}[/]" if label == "run" else f"  {label}", value)
        console.print(table)


def rows(status: RunStatus) -> Iterable[tuple[str, str]]:
    """What a person wants to know of a run, as labels and values."""
    bad = sum(status.quarantined.values())
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in status.quarantined.items())
    yield "run", f"{status.run}, planned {status.created}"
    yield "state", _state(status)
    yield "units", f"{status.done:,} of {status.units:,} done, {status.units - status.done:,} pending"
    yield "galaxies", f"{status.classified:,} classified of {status.rows:,}"
    yield "quarantined", f"{bad:,}" + (f" ({reasons})" if bad else "")
    if status.rate is not None:
        yield "rate", f"{status.rate:,.1f} galaxies/s since the last pause"
    if status.finished is not None:
        yield "last unit", status.finished
    if status.seconds_left:
        yield "time left", str(timedelta(seconds=round(status.seconds_left)))


def _state(status: RunStatus) -> str:
    if status.committed:
        return "committed"
    return "all units done, not committed yet" if status.done == status.units else "not committed"
