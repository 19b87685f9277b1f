"""Galaxies named more than once, against Python's own sets."""

from __future__ import annotations

import random

import numpy as np
import pyarrow as pa
import pytest

from pipeline.cutouts import duplicate_rows, duplicates


def expected(shards: list[list[str | None]]) -> list[tuple[int, ...]]:
    seen: set[str] = set()
    found = []
    for shard in shards:
        rows = []
        for row, name in enumerate(shard):
            if name and name in seen:
                rows.append(row)
            seen.add(name or "")
        found.append(tuple(rows))
    return found


def columns(shards: list[list[str | None]]) -> list[pa.ChunkedArray]:
    return [pa.chunked_array([shard[:2], shard[2:]], pa.string()) for shard in shards]


@pytest.mark.parametrize("names", [3, 40, 5000])
def test_repetitions_are_those_that_sets_find(names: int) -> None:
    draw = random.Random(names)
    pool = [None, "", "galaxy", *(f"J{draw.getrandbits(90):027d}é" for _ in range(names))]
    shards = [draw.choices(pool, k=draw.randrange(60)) for _ in range(40)] + [[]]
    assert duplicate_rows(iter(columns(shards))) == expected(shards)
    assert any(expected(shards))


def test_no_shards_and_no_repetitions() -> None:
    assert duplicate_rows([]) == []
    assert duplicate_rows(columns([["a", "b"], [], ["c", None, None, "", ""]])) == [(), (), ()]


def test_ids_of_which_half_the_hash_agrees_are_different(monkeypatch: pytest.MonkeyPatch) -> None:
    halves = {"a": (1, 1), "b": (1, 2), "c": (2, 1)}
    monkeypatch.setattr(
        duplicates,
        "_hashes",
        lambda ids: np.array([halves[name] for name in ids.to_pylist()], np.uint64).T,
    )
    assert duplicate_rows(columns([["a", "b"], ["c", "b"]])) == [(), (1,)]
