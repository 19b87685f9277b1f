"""Every kind of bad input ends where it must, with words that help; its neighbours come to no harm."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.cutouts import CUTOUT_SCHEMA, duplicate_rows, list_shards, read_ids
from pipeline.protocol import WorkUnit
from pipeline.streaming import connect
from pipeline.streaming.decode import decode_unit
from tests.faults.corpus import FINE, JPEG, PNG, PROGRESSIVE, Kind, image_kinds, mutated
from tests.faults.corpus_rows import metadata_kinds
from tests.faults.poison import run_stream, tiny_weights, units_of

KINDS = [*image_kinds(), *metadata_kinds()]
GOOD = {"image": PNG, "ra": 10.0, "dec": -5.0}


def rows_of(kinds: list[Kind]) -> list[dict[str, Any]]:
    """Rows of all kinds, a good one before each and one at the end; row 2k + 1 is kind k."""
    rows: list[dict[str, Any]] = []
    for index, kind in enumerate(kinds):
        rows.append(GOOD | {"object_id": f"good-{index}"})
        rows.append(GOOD | {"object_id": f"odd-{index}"} | kind.row)
    return [*rows, GOOD | {"object_id": "last"}]


def write(path: Path, rows: list[dict[str, Any]]) -> str:
    pq.write_table(pa.Table.from_pylist(rows, schema=CUTOUT_SCHEMA), path, row_group_size=16)
    return str(path)


def check_message(message: str) -> None:
    assert 10 < len(message) < 400
    assert "\n" not in message
    assert not re.search(r"object at 0x|Traceback|Errno|None\b", message), message
    assert "decoder failed" not in message, message


def test_the_corpus_is_large_and_every_kind_has_its_name() -> None:
    assert len({kind.name for kind in KINDS}) == len(KINDS) > 150
    assert sum(FINE not in kind.outcomes for kind in KINDS) > 90
    assert [kind.row for kind in image_kinds()] == [kind.row for kind in image_kinds()]


@pytest.fixture(scope="module")
def decoded(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    rows = rows_of(KINDS)
    shard = write(tmp_path_factory.mktemp("corpus") / "s.parquet", rows)
    result: list[dict[str, Any]] = decode_unit(WorkUnit(0, shard, 0, len(rows))).to_pylist()
    return result


@pytest.mark.parametrize("index", range(len(KINDS)), ids=[kind.name for kind in KINDS])
def test_each_kind_ends_where_it_must(decoded: list[dict[str, Any]], index: int) -> None:
    row = decoded[2 * index + 1]
    assert (row["reason"] or FINE) in KINDS[index].outcomes, row["message"]
    assert (row["pixels"] is None) == (row["reason"] is not None)
    if row["reason"]:
        check_message(row["message"])


def test_good_rows_among_them_come_out_alike(decoded: list[dict[str, Any]]) -> None:
    good = decoded[::2]
    assert len(good) == len(KINDS) + 1
    assert {(row["reason"], row["pixels"], row["side"], row["ra"]) for row in good} == {
        (None, good[0]["pixels"], good[0]["side"], 10.0)
    }


def test_a_position_that_is_not_known_is_null(decoded: list[dict[str, Any]]) -> None:
    row = decoded[2 * [kind.name for kind in KINDS].index("NaN position") + 1]
    assert (row["ra"], row["dec"]) == (None, None)


@pytest.mark.parametrize("data", [JPEG, PROGRESSIVE, PNG], ids=["jpeg", "progressive", "png"])
def test_changed_bytes_cost_their_row_at_most(data: bytes, tmp_path: Path) -> None:
    chance = random.Random(20)
    kinds = [Kind(f"{i}", (), {"image": mutated(data, chance)}) for i in range(300)]
    rows = decode_unit(WorkUnit(0, write(tmp_path / "s.parquet", rows_of(kinds)), 0, 601)).to_pylist()
    assert all(row["reason"] is None for row in rows[::2])
    refused = [row for row in rows if row["reason"]]
    for row in refused:
        check_message(row["message"])
    assert len(refused) > (290 if data is PNG else 30)


@pytest.mark.long
def test_the_whole_corpus_through_ray(tmp_path: Path) -> None:
    """Rows in = catalogue + quarantine, each once; duplicates are found as a run finds them."""
    connect()
    rows = [*rows_of(KINDS), GOOD | {"object_id": "last"}, GOOD | {"object_id": "good-3"}]
    shard = write(tmp_path / "s.parquet", rows)
    (listed,) = list_shards(shard)
    (duplicates,) = duplicate_rows([read_ids(listed.uri)])
    units = [
        WorkUnit(
            unit.index,
            shard,
            unit.start,
            unit.stop,
            tuple(r for r in duplicates if unit.start <= r < unit.stop),
        )
        for unit in units_of({shard: len(rows)}, 64)
    ]
    result = run_stream(units, tmp_path / "out", tiny_weights(tmp_path))
    assert len(result.classified) + len(result.quarantined) == len(rows)
    reasons = result.reasons()
    assert [reasons[len(rows) - 2], reasons[len(rows) - 1]] == ["duplicate_object_id"] * 2
    for index, kind in enumerate(KINDS):
        assert 2 * index not in reasons
        assert reasons.get(2 * index + 1, FINE) in kind.outcomes, kind.name
    named = sorted(rows[row]["object_id"] for row in range(len(rows)) if row not in reasons)
    assert sorted(result.classified) == named
