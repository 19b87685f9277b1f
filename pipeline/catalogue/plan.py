"""The plan of a run: its inputs, cut into work units, and a fingerprint of all that decides the result."""

from __future__ import annotations

import bisect
import hashlib
import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import Field, ValidationError

from pipeline import storage
from pipeline.catalogue.layout import RunLayout, runs_folder
from pipeline.config import StrictModel
from pipeline.errors import HeldError, InputError

_NUMERIC_ROOMS = ("tree", "geometry", "images", "network", "averaging")
_VALUE_ROOMS = (*_NUMERIC_ROOMS, "survey", "catalogue", "streaming")


class PlannedShard(StrictModel):
    """An input shard as it was when the run was planned.

    Attributes
    ----------
    duplicates
        Rows whose object_id stands in an earlier row of this shard or of an earlier one.
    selected
        Ranges [start, stop) of the rows that are to be classified; None for all. Of the others the catalogue
        has the answers.
    carried
        Whether the shard is the one that an earlier run read, so that none of its rows is selected.
    """

    uri: str
    size: int
    etag: str
    rows: int
    duplicates: tuple[int, ...] = ()
    selected: tuple[tuple[int, int], ...] | None = None
    carried: bool = False

    @property
    def ranges(self) -> tuple[tuple[int, int], ...]:
        """Ranges [start, stop) of the rows that are to be classified."""
        return ((0, self.rows),) if self.selected is None else self.selected

    def same_content(self, other: PlannedShard) -> bool:
        """Whether two plans read the same rows of it."""
        plain = {"selected": None, "carried": False}
        return self.model_copy(update=plain) == other.model_copy(update=plain)


class Plan(StrictModel):
    """What a run will do. Units are not listed: they follow from the shards and `unit_rows`.

    Attributes
    ----------
    fingerprint
        What decides the result, each part by name (``input``, ``weights``, …) as a hash or value.
    sequence
        1 for the first run of an output, 2 for the next.
    base
        The committed run whose rows are kept where they aren't selected; None if the catalogue is made anew.
    """

    run: str
    sequence: int = 1
    created: str
    fingerprint: dict[str, str]
    shards: tuple[PlannedShard, ...] = Field(min_length=1)
    unit_rows: int = Field(gt=0)
    base: str | None = None

    @property
    def rows(self) -> int:
        """Rows of all inputs."""
        return sum(shard.rows for shard in self.shards)

    @property
    def selected_rows(self) -> int:
        """Rows that are to be classified."""
        return sum(stop - start for shard in self.shards for start, stop in shard.ranges)

    @property
    def unit_count(self) -> int:
        """Number of work units."""
        return sum(1 for _ in self.units())

    def windows(self) -> Iterator[tuple[PlannedShard, int, int]]:
        """All inputs in ranges of at most `unit_rows` rows, (shard, start, stop); a unit has its number."""
        for shard in self.shards:
            for start in range(0, shard.rows, self.unit_rows):
                yield shard, start, min(start + self.unit_rows, shard.rows)

    def units(self) -> Iterator[WorkUnit]:
        """The work units, in order: the windows that have a selected row."""
        for index, (shard, start, stop) in enumerate(self.windows()):
            begin = bisect.bisect_right(shard.ranges, start, key=lambda bounds: bounds[1])
            end = bisect.bisect_left(shard.ranges, stop, key=lambda bounds: bounds[0])
            ranges = [(max(first, start), min(last, stop)) for first, last in shard.ranges[begin:end]]
            if ranges:
                gaps = zip([last for _, last in ranges], [first for first, _ in ranges[1:]], strict=False)
                skipped = tuple(row for gap in gaps for row in range(*gap))
                first, last = ranges[0][0], ranges[-1][1]
                inside = shard.duplicates[
                    bisect.bisect_left(shard.duplicates, first) : bisect.bisect_left(shard.duplicates, last)
                ]
                yield WorkUnit(index, shard.uri, first, last, inside, skipped)


@dataclass(frozen=True)
class WorkUnit:
    """Rows [start, stop) of one input shard, less the `skipped`; `duplicates` are to be quarantined."""

    index: int
    shard: str
    start: int
    stop: int
    duplicates: tuple[int, ...] = ()
    skipped: tuple[int, ...] = ()

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.stop - self.start - len(self.skipped)

    @property
    def ranges(self) -> list[tuple[int, int]]:
        """Its rows, as ranges [start, stop)."""
        bounds = [self.start - 1, *self.skipped, self.stop]
        return [(before + 1, after) for before, after in itertools.pairwise(bounds) if before + 1 < after]


def digest(*values: object) -> str:
    """sha256 of values that JSON can hold."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def code_digest(rooms: Sequence[str] = _VALUE_ROOMS) -> str:
    """sha256 over the sources of rooms; by default of all that decide what a catalogue holds."""
    root = Path(__file__).resolve().parent.parent
    files = sorted(path for room in rooms for path in (root / room).rglob("*.py"))
    return digest(*[(str(path.relative_to(root)), path.read_text(encoding="utf-8")) for path in files])


def make_plan(
    shards: Sequence[PlannedShard], unit_rows: int, settings: Mapping[str, str], base: str | None = None
) -> Plan:
    """Plan a run.

    Parameters
    ----------
    shards
        Inputs in order.
    unit_rows
        Most rows in a unit.
    settings
        What else decides the result, by name: weights, tree, transforms, …
    base
        See `Plan`.
    """
    fingerprint = {
        "input": digest([shard.model_dump() for shard in shards]),
        "unit_rows": str(unit_rows),
        "code": code_digest(),
        "numerics": code_digest(_NUMERIC_ROOMS),
        **settings,
    } | ({} if base is None else {"base": base})
    created = datetime.now(UTC).isoformat(timespec="seconds")
    return Plan(
        run=digest(fingerprint)[:12],
        created=created,
        fingerprint=fingerprint,
        shards=tuple(shards),
        unit_rows=unit_rows,
        base=base,
    )


def read_plans(output: str) -> list[Plan]:
    """The plans of all runs of an output, oldest first; a run's folder may be a link to where it was moved.

    Raises
    ------
    InputError
        If a plan can't be read.
    """
    files = storage.list_files(runs_folder(output), "/plan.json", through_links=True)
    plans = []
    for file in files:
        try:
            plans.append(Plan.model_validate_json(storage.read_bytes(file.uri)))
        except ValidationError as error:
            raise InputError(
                f"{file.uri} is not a plan of this version: {error.errors()[0]['msg']}; use another output"
            ) from error
    return sorted(plans, key=lambda plan: plan.sequence)


def find_run(output: str, plan: Plan) -> Plan | None:
    """The output's latest run if it has the fingerprint of `plan`."""
    earlier = read_plans(output)
    return earlier[-1] if earlier and earlier[-1].fingerprint == plan.fingerprint else None


def adopt_plan(
    output: str, plan: Plan, new_run: bool = False, is_finished: Callable[[Plan], bool] = lambda plan: True
) -> Plan:
    """Write the plan of a new run, or find the run that it continues. To be called under the output's lease.

    Parameters
    ----------
    new_run
        Start afresh, unless the latest run is itself an unfinished one of the same fingerprint: the same
        command given again continues what it began.
    is_finished
        Tells whether an earlier run is committed.

    Returns
    -------
    Plan
        The stored plan.

    Raises
    ------
    InputError
        If the output's latest run has another fingerprint, naming what changed, and `new_run` isn't set.
    """
    earlier = read_plans(output)
    if earlier:
        latest = earlier[-1]
        same = latest.fingerprint == plan.fingerprint
        if same and not (new_run and is_finished(latest)):
            return latest
        if not new_run:
            changed = [
                key for key in plan.fingerprint if latest.fingerprint.get(key) != plan.fingerprint[key]
            ]
            details = "; ".join(_change(key, latest, plan) for key in changed)
            if latest.base is not None:
                raise InputError(
                    f"{output} was brought up to date by `refresh` (run {latest.run}); go on with that, name "
                    "another output, or start afresh with new_run=true (the catalogue's history is kept)"
                )
            raise InputError(
                f"{output} holds run {latest.run}, made from something else: {details}. "
                "Name another output, or start afresh with new_run=true (the catalogue's history is kept)"
            )
    sequence = earlier[-1].sequence + 1 if earlier else 1
    run = plan.run if sequence == 1 else f"{plan.run}-{sequence}"
    plan = plan.model_copy(update={"run": run, "sequence": sequence})
    if not storage.create(RunLayout(output, run).plan, plan.model_dump_json(indent=1).encode()):
        raise HeldError(f"{output}: run {run} was planned by someone else at this moment; try again")
    return plan


def _change(key: str, old: Plan, new: Plan) -> str:
    """What changed, in words."""
    if key == "input":
        before = {shard.uri: shard for shard in old.shards}
        after = {shard.uri: shard for shard in new.shards}
        added, gone = len(after.keys() - before.keys()), len(before.keys() - after.keys())
        changed = [uri for uri in after.keys() & before.keys() if after[uri] != before[uri]]
        example = f", such as {min(changed)}" if changed else ""
        return f"input ({added} shards added, {gone} gone, {len(changed)} changed{example})"
    before_value, after_value = old.fingerprint.get(key, "none"), new.fingerprint[key]
    short = [value[:12] + "…" if len(value) > 40 else value for value in (before_value, after_value)]
    return f"{key} (was {short[0]}, is {short[1]})"
