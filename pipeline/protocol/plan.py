"""The plan of a run: its inputs, cut into work units, and a fingerprint of all that decides the result."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import Field

from pipeline.config import StrictModel
from pipeline.digest import digest
from pipeline.numerics import numerics
from pipeline.protocol.fingerprint import SCHEMA_VERSION, declared


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
        """Whether another plan has this shard with the same size, etag, rows and duplicates."""
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
    epoch
        Epoch of the lease under which it was written.
    base
        The run that made the rows that are kept, if its plan can be relied on for the shards that it read.
    weights
        What people call the weights, such as ``compact 1``; the fingerprint has their hash.
    kept
        The catalogue's version whose rows are kept where they aren't selected, and over which alone this run
        may be committed; None if the catalogue is made anew.
    """

    run: str
    sequence: int = 1
    created: str
    fingerprint: dict[str, str]
    shards: tuple[PlannedShard, ...] = Field(min_length=1)
    unit_rows: int = Field(gt=0)
    base: str | None = None
    kept: int | None = None
    weights: str = ""
    epoch: int = 0

    @property
    def uncertainty(self) -> bool:
        """Whether its rows say how sure their answers are."""
        return "uncertainty" in self.fingerprint

    @property
    def classes(self) -> bool:
        """Whether its rows have a class, and an answer only where enough volunteers are asked."""
        return declared(self.fingerprint).get("schema", "1") != "1"

    @property
    def rejection(self) -> bool:
        """Whether its rows say if their picture has a galaxy."""
        return "rejection" in self.fingerprint

    @property
    def clumps(self) -> bool:
        """Whether its rows have the clumps of their galaxies."""
        return "clumps" in self.fingerprint

    @property
    def embedding(self) -> str | None:
        """sha256 of the projection by which its rows have embeddings; None where they have none."""
        return self.fingerprint.get("embedding")

    @property
    def rows(self) -> int:
        """How many rows all inputs have together."""
        return sum(shard.rows for shard in self.shards)

    @property
    def selected_rows(self) -> int:
        """How many rows are to be classified."""
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
                yield WorkUnit(index, shard.uri, first, last, inside, skipped, shard.size, shard.etag)


@dataclass(frozen=True)
class WorkUnit:
    """Rows [start, stop) of one input shard, less the `skipped`; `duplicates` are to be quarantined.

    Attributes
    ----------
    size, etag
        Those of the shard as it was planned; None where any will do.
    """

    index: int
    shard: str
    start: int
    stop: int
    duplicates: tuple[int, ...] = ()
    skipped: tuple[int, ...] = ()
    size: int | None = None
    etag: str | None = None

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.stop - self.start - len(self.skipped)

    @property
    def ranges(self) -> list[tuple[int, int]]:
        """The rows of the unit, as ranges [start, stop)."""
        bounds = [self.start - 1, *self.skipped, self.stop]
        return [(before + 1, after) for before, after in itertools.pairwise(bounds) if before + 1 < after]


def make_plan(
    shards: Sequence[PlannedShard],
    unit_rows: int,
    settings: Mapping[str, str],
    base: str | None = None,
    kept: int | None = None,
    weights: str = "",
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
    base, kept, weights
        See `Plan`.
    """
    fingerprint = {
        "input": digest([shard.model_dump() for shard in shards]),
        "unit_rows": str(unit_rows),
        "schema": str(SCHEMA_VERSION),
        "numerics": numerics(),
        **settings,
    } | ({} if kept is None else {"base": f"{base or 'table'}@{kept}"})
    created = datetime.now(UTC).isoformat(timespec="seconds")
    return Plan(
        run=digest(fingerprint)[:12],
        created=created,
        fingerprint=fingerprint,
        shards=tuple(shards),
        unit_rows=unit_rows,
        base=base,
        kept=kept,
        weights=weights,
    )


def newest_first(plans: Iterable[Plan]) -> list[Plan]:
    """Plans of an output, the one that counts first.

    Two that were made at the same moment have the same sequence: then that of the later lease counts.
    """
    return sorted(plans, key=lambda plan: (plan.sequence, plan.epoch, plan.run), reverse=True)
