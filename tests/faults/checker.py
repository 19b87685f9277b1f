"""A whole history of a catalogue, against its sources and what its processes were told."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import pyarrow.parquet as pq
from deltalake import DeltaTable

from pipeline import storage
from pipeline.protocol.plan import Plan
from tests.faults.history import current, doubled
from tests.support.tables import snapshot

Row = dict[str, Any]

_ENDED = re.compile(r"^(?:Run (\S+?)(?: is complete)?: |Nothing changed since run (\S+): )", re.MULTILINE)
"""What tells that a run is committed."""


class Witness(Protocol):
    """A process that has ended."""

    words: Sequence[str]

    @property
    def status(self) -> int | None:
        """Its exit status."""

    def text(self) -> str:
        """All that it printed."""


@dataclass(frozen=True)
class Content:
    """What a shard once held.

    Attributes
    ----------
    good
        Right ascension, which is another in every rewriting, of the galaxies that can be classified.
    bad
        Those that can't.
    """

    good: Mapping[str, float]
    bad: frozenset[str]


@dataclass
class History:
    """The versions of an output's catalogue.

    Attributes
    ----------
    sources
        What shards have held, by their etags.
    writers
        The run that wrote the rows of each version; None where there are none.
    """

    output: str
    sources: Mapping[str, Content]
    writers: list[str | None] = field(default_factory=list)
    _rows: list[list[Row]] = field(default_factory=list)
    _plans: dict[str, Plan] = field(default_factory=dict)

    def findings(self) -> Iterator[str]:
        """All that is wrong with any version."""
        catalogue, options = f"{self.output}/catalogue", storage.delta_options(self.output)
        if not DeltaTable.is_deltatable(catalogue, options):
            return
        entries = DeltaTable(catalogue, storage_options=options).history()
        for entry in sorted(entries, key=lambda entry: entry["version"]):
            number = entry["version"]
            try:
                table = snapshot(catalogue, number)
            except Exception as error:  # noqa: BLE001 (whatever it is, it's a finding)
                yield f"version {number} is unreadable: {error}"
                self._rows.append([])
                self.writers.append(entry.get("run"))
                continue
            if doubled(table):
                yield f"version {number} has twice: {doubled(table)}"
            self._rows.append(table.to_pylist())
            run = entry.get("run")
            if run is None:
                before = self._rows[number - 1] if number else []
                if self._rows[number] != before:
                    yield f"version {number} is of no run, and has other rows than the one before it"
                self.writers.append(self.writers[-1] if number else None)
                continue
            self.writers.append(run)
            yield from self._of_run(number, run, current(table))

    def committed(self) -> set[str]:
        """The runs that wrote a version."""
        return {run for run in self.writers if run is not None}

    def newest_findings(self, sources: Sequence[Content]) -> Iterator[str]:
        """What is wrong with the newest version, if the source is this one."""
        expected = {name: ra for content in sources for name, ra in content.good.items()}
        yield from _differences("the newest version", expected, self._rows[-1] if self._rows else [])

    def _of_run(self, number: int, run: str, ids: list[str]) -> Iterator[str]:
        plan = self._plan(run)
        contents = [self.sources[shard.etag] for shard in plan.shards]
        expected = {name: ra for content in contents for name, ra in content.good.items()}
        yield from _differences(f"version {number}", expected, self._rows[number])
        bad = {name for content in contents for name in content.bad}
        quarantine = pq.read_table(
            io.BytesIO(storage.read_bytes(f"{self.output}/runs/{run}/quarantine.parquet"))
        )
        quarantined = quarantine["object_id"].to_pylist()
        if set(quarantined) - bad or len(quarantined) != len(set(quarantined)):
            yield f"version {number} quarantines {sorted(quarantined)}, and bad are {sorted(bad)}"
        if plan.kept is None and set(quarantined) != bad:
            yield f"version {number} lost of the quarantine: {sorted(bad - set(quarantined))}"
        yield from self._mixed(number, plan)

    def _mixed(self, number: int, plan: Plan) -> Iterator[str]:
        """Rows of other runs, but those that the plan keeps."""
        others = [row for row in self._rows[number] if row["run"] != plan.run]
        if plan.kept is None:
            if others:
                yield f"version {number} of run {plan.run} is mixed: {_runs(others)}"
            return
        if self.writers[plan.kept] != self.writers[number - 1] or (
            self._rows[plan.kept] != self._rows[number - 1]
        ):
            yield f"version {number} keeps rows of {plan.kept}, and others were current: mixed"
        kept = {row["object_id"]: _answers(row) for row in self._rows[plan.kept]}
        odd = [row for row in others if kept.get(row["object_id"]) != _answers(row)]
        if odd:
            yield f"version {number} is mixed: {len(odd)} rows that {plan.kept} has not, of {_runs(odd)}"
        settings = {self._plan(row["run"]).fingerprint["precision"] for row in self._live(number)}
        if len(settings) > 1:
            yield f"version {number} is mixed: answers of {sorted(settings)}"

    def _live(self, number: int) -> list[Row]:
        return [row for row in self._rows[number] if row["stale"] is None]

    def _plan(self, run: str) -> Plan:
        if run not in self._plans:
            data = storage.read_bytes(f"{self.output}/runs/{run}/plan.json")
            self._plans[run] = Plan.model_validate_json(data)
        return self._plans[run]


def witness_findings(witness: Witness, committed: set[str]) -> Iterator[str]:
    """What a process was told, and isn't so."""
    verb, text = witness.words[0], witness.text()
    if witness.status not in (0, 1, 2, 3, -9):
        yield f"{verb} ended with {witness.status}"
    if "Traceback" in text or (witness.status in (1, 2, 3) and "tuningfork: " not in text):
        yield f"{verb} ended with {witness.status} and not in one line"
    ended = {one or other for one, other in _ENDED.findall(text)}
    for run in sorted(ended - committed):
        yield f"{verb} told that run {run} is done, and no version is of it: lost"
    if witness.status == 0 and verb in ("classify", "refresh") and not ended:
        yield f"{verb} ended with 0 and told of no run"


def _differences(what: str, expected: Mapping[str, float], rows: Sequence[Row]) -> Iterator[str]:
    found = {row["object_id"]: row["ra"] for row in rows if row["stale"] is None}
    if expected.keys() - found.keys():
        yield f"{what} lost {sorted(expected.keys() - found.keys())}"
    if found.keys() - expected.keys():
        yield f"{what} has what its source had not: {sorted(found.keys() - expected.keys())}"
    old = sorted(name for name in found.keys() & expected.keys() if found[name] != expected[name])
    if old:
        yield f"{what} has rows of another writing of their shard: {old}"


def _answers(row: Row) -> Row:
    """What stays of a row that is kept: all but where it stands, and whether its source has it."""
    return {name: value for name, value in row.items() if name not in ("input", "stale")}


def _runs(rows: Sequence[Row]) -> list[str]:
    return sorted({row["run"] for row in rows})
