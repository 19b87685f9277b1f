"""Writers that race for a file of a real object store: of many that create or swap it, one wins."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Callable
from typing import TypeVar

import pytest

from pipeline import storage

RACERS = 8

Result = TypeVar("Result")


def line_up(barrier: threading.Barrier) -> None:
    """Give a process of a pool the barrier at which it waits for the others."""
    line_up.barrier = barrier  # type: ignore[attr-defined]


def race(work: Callable[[tuple[str, int]], Result], uri: str) -> list[Result]:
    """Run `work` in many processes, which wait for each other `at_the_line`."""
    context = multiprocessing.get_context("spawn")
    with context.Pool(RACERS, line_up, (context.Barrier(RACERS),)) as pool:
        return pool.map(work, [(uri, who) for who in range(RACERS)], chunksize=1)


def at_the_line() -> None:
    line_up.barrier.wait(timeout=120)  # type: ignore[attr-defined]


def create_all(job: tuple[str, int]) -> list[bool]:
    folder, who = job
    won = []
    for i in range(20):
        at_the_line()
        won.append(storage.create(f"{folder}/lease-{i}", bytes([who]) * 1000))
    return won


def increment_five_times(job: tuple[str, int]) -> int:
    uri, _ = job
    at_the_line()
    done = tries = 0
    while done < 5:
        content, etag = storage.read_with_etag(uri)
        done += storage.write_if_match(uri, str(int(content) + 1).encode(), etag)
        tries += 1
    return tries


@pytest.mark.long
def test_of_many_processes_that_create_a_file_exactly_one_wins(bucket: str) -> None:
    won = race(create_all, bucket)
    winners = [[who for who in range(RACERS) if won[who][i]] for i in range(20)]
    assert [len(found) for found in winners] == [1] * 20
    for i, (winner,) in enumerate(winners):
        assert storage.read_bytes(f"{bucket}/lease-{i}") == bytes([winner]) * 1000
    assert len({winner for (winner,) in winners}) > 1, "they did not race"


def test_no_swap_of_many_processes_is_lost(bucket: str) -> None:
    uri = f"{bucket}/count"
    storage.write_bytes(uri, b"0")
    tries = race(increment_five_times, uri)
    assert storage.read_bytes(uri) == str(RACERS * 5).encode()
    assert sum(tries) > RACERS * 5, "they did not race"
