"""How far the runs of an output are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from datetime import datetime

import numpy as np

from pipeline.catalogue.delta import load_table
from pipeline.config import StrictModel
from pipeline.errors import InputError
from pipeline.protocol.layout import RunLayout, catalogue_uri, runs_folder
from pipeline.protocol.ledger import LedgerEntry
from pipeline.protocol.plan import Plan
from pipeline.protocol.records.ledger import read_ledger
from pipeline.protocol.records.plans import read_plans

_PAUSE_SECONDS = 60.0
_PAUSE_GAPS = 10


class RunStatus(StrictModel):
    """How far a run is.

    Attributes
    ----------
    committed
        Whether the catalogue took the run's rows.
    units, rows
        Planned.
    done
        Units in the ledger.
    seconds
        Time spent by stage, over all units.
    rate
        Galaxies a second since the last pause; None before there is a unit to tell from.
    seconds_left
        At that rate; 0 once all units are done, None while there is no rate.
    finished
        When the latest unit was entered, ISO 8601 in UTC.
    """

    run: str
    created: str
    committed: bool
    units: int
    done: int
    rows: int
    classified: int
    quarantined: dict[str, int]
    seconds: dict[str, float]
    rate: float | None
    seconds_left: float | None
    finished: str | None


def output_status(output: str) -> list[RunStatus]:
    """The runs of an output, latest first.

    Raises
    ------
    InputError
        If `output` holds no run, or a plan or ledger entry can't be read.
    """
    plans = read_plans(output)
    if not plans:
        raise InputError(f"{output} is no output of classify: expected {runs_folder(output)}/<run>/plan.json")
    table = load_table(catalogue_uri(output))
    statuses = []
    for plan in plans:
        committed = table is not None and table.transaction_version(plan.run) is not None
        statuses.append(run_status(plan, read_ledger(RunLayout(output, plan.run)).values(), committed))
    return statuses


def run_status(plan: Plan, ledger: Collection[LedgerEntry], committed: bool) -> RunStatus:
    """How far a run is by its ledger."""
    quarantined: Counter[str] = Counter()
    seconds: dict[str, float] = {}
    for entry in ledger:
        quarantined.update(entry.quarantined)
        for stage, value in entry.seconds.items():
            seconds[stage] = round(seconds.get(stage, 0.0) + value, 3)
    rate = recent_rate(ledger)
    left = plan.selected_rows - sum(entry.rows for entry in ledger)
    return RunStatus(
        run=plan.run,
        created=plan.created,
        committed=committed,
        units=plan.unit_count,
        done=len(ledger),
        rows=plan.selected_rows,
        classified=sum(entry.classified for entry in ledger),
        quarantined=dict(sorted(quarantined.items())),
        seconds=seconds,
        rate=rate,
        seconds_left=0.0 if left <= 0 else left / rate if rate else None,
        finished=max((entry.finished for entry in ledger if entry.finished), default=None),
    )


def recent_rate(ledger: Collection[LedgerEntry]) -> float | None:
    """Galaxies a second since the last pause of a run, from when its units finished.

    A gap between two units that is far longer than the usual one is a pause: there the run was stopped, or
    waited for machines. When one unit alone has finished since, the time spent on it counts.
    """
    stamped = sorted(
        ((datetime.fromisoformat(entry.finished).timestamp(), entry) for entry in ledger if entry.finished),
        key=lambda pair: pair[0],
    )
    if not stamped:
        return None
    times = np.array([time for time, _ in stamped])
    gaps = np.diff(times)
    usual = float(np.median(gaps)) if len(gaps) else 0.0
    after_pauses = np.flatnonzero(gaps > max(_PAUSE_SECONDS, _PAUSE_GAPS * usual)) + 1
    first = int(after_pauses[-1]) if len(after_pauses) else 0
    recent = [entry for _, entry in stamped[first:]]
    span = float(times[-1] - times[first])
    if span > 0:
        return sum(entry.rows for entry in recent[1:]) / span
    work = sum(sum(entry.seconds.values()) for entry in recent)
    return sum(entry.rows for entry in recent) / work if work > 0 else None
