"""What a refresh selects, keeps and marks, for any two states of a source."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.catalogue import RowHashes, same_source, select_rows
from pipeline.catalogue.refresh import Keeper
from pipeline.cutouts import duplicate_rows
from pipeline.protocol import Plan, PlannedShard, make_plan

IDS = [f"g{number}" for number in range(8)]
BAD = "bad"

Source = dict[str, list[tuple[str, str]]]
"""Shards with their rows: id and content; of content ``bad``, a row can't be classified."""

rows = st.tuples(st.sampled_from(IDS), st.sampled_from(["one", "two", BAD]))
sources = st.dictionaries(st.sampled_from(["a", "b", "c"]), st.lists(rows, max_size=6), min_size=1).filter(
    lambda source: any(source.values())
)


def planned(source: Source) -> list[PlannedShard]:
    names = sorted(source)
    ids = [pa.chunked_array([[name for name, _ in source[shard]]], pa.string()) for shard in names]
    return [
        PlannedShard(uri=shard, size=1, etag=str(source[shard]), rows=len(source[shard]), duplicates=repeated)
        for shard, repeated in zip(names, duplicate_rows(ids), strict=True)
    ]


def outcomes(source: Source) -> tuple[dict[str, tuple[str, str]], list[dict[str, str]]]:
    """What classifying all of it gives: id → content and place; and the rejects."""
    good: dict[str, tuple[str, str]] = {}
    rejects, seen = [], set()
    for shard in sorted(source):
        for row, (name, content) in enumerate(source[shard]):
            if name in seen:
                rejects.append({"object_id": name, "shard": shard, "reason": "duplicate_object_id"})
            elif content == BAD:
                rejects.append({"object_id": name, "shard": shard, "reason": "damaged"})
            else:
                good[name] = (content, f"{shard}#{row}")
            seen.add(name)
    return good, rejects


def table_of(known: Mapping[str, tuple[str, str, str | None]]) -> pa.RecordBatch:
    """A catalogue: id → content, place and mark."""
    columns = {
        "object_id": pa.array(list(known), pa.string()),
        "content": pa.array([content for content, _, _ in known.values()], pa.string()),
        "input": pa.array([place for _, place, _ in known.values()], pa.string()),
        "stale": pa.array([mark for _, _, mark in known.values()], pa.string()),
    }
    return pa.RecordBatch.from_pydict(columns)


def refreshed(
    known: dict[str, tuple[str, str, str | None]], base: Plan, source: Source
) -> tuple[dict[str, tuple[str, str, str | None]], Plan]:
    """The catalogue after a refresh, by the rules under test."""
    shards = planned(source)
    if same_source(shards, base):
        return known, base

    def contents(uri: str) -> pa.Table:
        names, found = zip(*source[uri], strict=True) if source[uri] else ((), ())
        return pa.table({"object_id": pa.array(names, pa.string()), "content": pa.array(found, pa.string())})

    table = table_of(known)
    marked, gone = select_rows(shards, base.shards, RowHashes([table]), lambda shard: contents(shard.uri))
    plan = make_plan(marked, 4, {}, base.run, 1)
    good, rejects = outcomes(source)
    keeper = Keeper(
        plan,
        lambda uri: contents(uri)["object_id"],
        pa.Table.from_pylist(rejects, pa.schema([("object_id", pa.string()), ("reason", pa.string())])),
    )
    after = {
        row["object_id"]: (row["content"], row["input"], row["stale"]) for row in keeper(table).to_pylist()
    }
    assert keeper.counts["gone"] >= gone
    selected = {
        f"{shard.uri}#{row}"
        for shard in plan.shards
        for first, last in shard.ranges
        for row in range(first, last)
    }
    for name, (content, place) in good.items():
        if place in selected:
            assert name not in after, "a row that was classified anew is kept as well"
            after[name] = (content, place, None)
    return after, plan


@given(st.lists(sources, min_size=2, max_size=4))
@settings(max_examples=25, deadline=None)
def test_the_current_rows_are_those_of_a_fresh_run(states: list[Source]) -> None:
    known: dict[str, tuple[str, str, str | None]] = {}
    base = make_plan(planned({"x": [("none", BAD)]}), 4, {})
    ever: set[str] = set()
    for source in states:
        known, base = refreshed(known, base, source)
        good, rejects = outcomes(source)
        assert {name: row[:2] for name, row in known.items() if row[2] is None} == good
        ever |= good.keys()
        assert known.keys() == ever
        unreadable = {row["object_id"] for row in rejects if row["reason"] == "damaged"}
        marks = {name: row[2] for name, row in known.items() if row[2] is not None}
        assert marks == {name: "quarantined" if name in unreadable else "gone" for name in ever - good.keys()}


@given(sources, sources)
@settings(deadline=None)
def test_only_what_differs_is_selected(before: Source, after: Source) -> None:
    good, _ = outcomes(before)
    base = make_plan(planned(before), 4, {})
    known = {name: (content, place, None) for name, (content, place) in good.items()}

    def contents(uri: str) -> pa.Table:
        names, found = zip(*after[uri], strict=True) if after[uri] else ((), ())
        return pa.table({"object_id": pa.array(names, pa.string()), "content": pa.array(found, pa.string())})

    marked, gone = select_rows(
        planned(after), base.shards, RowHashes([table_of(known)]), lambda shard: contents(shard.uri)
    )
    for shard in marked:
        wanted = np.zeros(shard.rows, bool)
        for first, last in shard.ranges:
            wanted[first:last] = True
        for row, (name, content) in enumerate(after[shard.uri]):
            same = name in good and good[name][0] == content and row not in shard.duplicates
            assert wanted[row] == (not same and not shard.carried)
    present = {name for shard in after.values() for name, _ in shard}
    assert gone == len(good.keys() - present)
