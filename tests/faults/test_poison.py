"""Inputs that really kill the process that decodes them, in a real Ray."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from ray.data import DataContext

from pipeline.errors import InputError
from pipeline.streaming import StreamError, connect, stream
from pipeline.streaming.limits import DecodeLimits
from tests.faults.poison import (
    LIMITS,
    REASONS,
    BadDecodeActor,
    Result,
    poisoned_shard,
    run_stream,
    tiny_weights,
    units_of,
)

WORDS = {
    "segv": "SIGSEGV",
    "abort": "SIGABRT",
    "exit": "exit status 3",
    "oom": "256 MiB of memory",
    "spin": "more than 1 s",
}


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    connect()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream, "DecodeActor", BadDecodeActor)
        yield


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    return tiny_weights(tmp_path_factory.mktemp("weights"))


def check(result: Result, shards: dict[str, tuple[int, dict[int, str]]]) -> None:
    """Every good row is in the catalogue once, every culprit in the quarantine once with its reason."""
    good = {
        f"{Path(shard).stem}-{row}"
        for shard, (rows, poison) in shards.items()
        for row in range(rows)
        if row not in poison
    }
    assert sorted(result.classified) == sorted(good)
    culprits = {(shard, row): kind for shard, (_, poison) in shards.items() for row, kind in poison.items()}
    assert result.quarantined.keys() == culprits.keys()
    for (shard, row), kind in culprits.items():
        found = result.quarantined[shard, row]
        assert found["reason"] == REASONS[kind]
        assert WORDS[kind] in found["message"]
        assert found["object_id"] == f"{Path(shard).stem}-{row}"


@pytest.mark.parametrize(
    "kind", ["spin", *(pytest.param(kind, marks=pytest.mark.long) for kind in ("segv", "oom"))]
)
def test_one_poison_row_costs_itself(kind: str, tmp_path: Path, weights: str) -> None:
    poison = {7: kind}
    shard = poisoned_shard(tmp_path / "s.parquet", 20, poison)
    check(run_stream(units_of({shard: 20}, 10), tmp_path / "out", weights), {shard: (20, poison)})


@pytest.mark.long
def test_poison_everywhere(tmp_path: Path, weights: str) -> None:
    """First and last rows, several in a unit, neighbours, a unit of nothing else."""
    first = {0: "segv", 2: "oom", 3: "spin", 4: "exit", 11: "abort"}
    second = dict.fromkeys(range(3), "exit")
    shards = {
        poisoned_shard(tmp_path / "a.parquet", 12, first): (12, first),
        poisoned_shard(tmp_path / "b.parquet", 6, second): (6, second),
    }
    units = units_of({shard: rows for shard, (rows, _) in shards.items()}, 3)
    check(run_stream(units, tmp_path / "out", weights), shards)


@pytest.mark.long
def test_many_poison_units_take_one_restart_of_an_actor(
    tmp_path: Path, weights: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were it a restart each, the run would end here."""
    monkeypatch.setattr(stream, "_DECODE_RESTARTS", 1)
    poison = {4 * unit + unit % 4: "exit" for unit in range(5)}
    shard = poisoned_shard(tmp_path / "s.parquet", 20, poison)
    check(run_stream(units_of({shard: 20}, 4), tmp_path / "out", weights), {shard: (20, poison)})


@pytest.mark.long
def test_actors_that_keep_dying_stop_the_run_with_one_line(
    tmp_path: Path, weights: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "_DECODE_RESTARTS", 0)
    shard = poisoned_shard(tmp_path / "s.parquet", 4, {2: "segv"})
    with pytest.raises(StreamError, match=r"kept dying .* run the same command again") as caught:
        run_stream(units_of({shard: 4}, 4), tmp_path / "out", weights)
    assert "\n" not in str(caught.value)


def test_a_run_in_which_nothing_moves_stops_with_one_line(
    tmp_path: Path, weights: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DataContext.get_current(), "execution_no_progress_timeout_s", 3)
    shard = poisoned_shard(tmp_path / "s.parquet", 4, {2: "spin"})
    with pytest.raises(StreamError, match="nothing moved for 3 s") as caught:
        run_stream(units_of({shard: 4}, 4), tmp_path / "out", weights, DecodeLimits(600.0, 1 << 30))
    assert "\n" not in str(caught.value)


@pytest.mark.long
def test_a_shard_that_is_gone_stops_the_run_with_one_line(tmp_path: Path, weights: str) -> None:
    shard = poisoned_shard(tmp_path / "s.parquet", 4, {})
    gone = poisoned_shard(tmp_path / "gone.parquet", 4, {})
    Path(gone).unlink()
    with pytest.raises(InputError, match=r"cannot read .*gone\.parquet: it doesn't exist") as caught:
        run_stream(units_of({shard: 4, gone: 4}, 4), tmp_path / "out", weights, LIMITS)
    assert "\n" not in str(caught.value)
