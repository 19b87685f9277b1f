"""The table of votes: each classification once, whatever comes twice, is killed or races."""

from __future__ import annotations

import itertools
import os
import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from hypothesis import given
from hypothesis import strategies as st

from jobs.cli import main
from pipeline.errors import HeldError, InputError
from pipeline.faults import CRASH_AT, VOTES_POINTS
from pipeline.tree import DecisionTree
from pipeline.volunteers.exports import Piece, read_export
from pipeline.volunteers.mapping import GALAXY_ZOO_2_TASKS, load_mapping
from pipeline.volunteers.records import QUARANTINE, VOTES
from pipeline.volunteers.store import ClassificationIds, add_votes, read_votes_table
from tests.faults.harness import running
from tests.support.exports import export, row
from tests.support.tables import snapshot

SMOOTH = [("smooth_or_featured", "smooth"), ("how_rounded", "round")]


def rows(numbers: range) -> list[dict]:
    return [row(number, f"user{number % 7}", f"g{number % 11}", SMOOTH) for number in numbers]


def pieces(path: Path, tree: DecisionTree) -> Iterator[Piece]:
    return read_export(str(path), load_mapping(str(GALAXY_ZOO_2_TASKS), tree), tree)


def run(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(["votes", *words])
    return int(ended.value.code or 0)


def ids(output: Path) -> list[int]:
    return sorted(snapshot(str(output / "votes"))["classification_id"].to_pylist())


def twice(numbers: range) -> list[int]:
    return sorted([*numbers, *numbers])


def test_a_later_export_adds_what_is_new(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first, later = tmp_path / "first.csv", tmp_path / "later.csv"
    first.write_bytes(export([*rows(range(10, 30)), row(99, "ada", "g1", [], annotations="{")]))
    later.write_bytes(export([*reversed(rows(range(50))), *rows(range(5))]))  # out of order, and some twice
    output = tmp_path / "out"
    assert run(f"export={first}", f"output={output}") == 0
    said = capsys.readouterr().out
    assert "20 new classifications with 40 votes added" in said
    assert "1 rows can't be used" in said
    assert run(f"export={later}", f"output={output}") == 0
    said = capsys.readouterr().out
    assert "30 new classifications with 60 votes added" in said
    assert "25 were there already or came twice" in said
    assert ids(output) == twice(range(50))
    for _ in range(2):
        assert run(f"export={first}", f"output={output}") == 0
    assert "0 new classifications" in capsys.readouterr().out
    assert ids(output) == twice(range(50))
    assert DeltaTable(str(output / "votes")).version() == 2
    (quarantine,) = (output / "quarantine").glob("*.parquet")
    assert pq.read_table(quarantine).column_names == QUARANTINE.names


def test_it_does_not_matter_in_how_many_exports_votes_come(tree: DecisionTree, tmp_path: Path) -> None:
    everything = rows(range(60))
    (tmp_path / "all.csv").write_bytes(export(everything))
    add_votes(str(tmp_path / "at_once"), pieces(tmp_path / "all.csv", tree))
    for end in (20, 20, 45, 60):
        (tmp_path / "part.csv").write_bytes(export(everything[:end]))
        add_votes(str(tmp_path / "bit_by_bit"), pieces(tmp_path / "part.csv", tree))
    order = [("classification_id", "ascending"), ("question", "ascending")]
    tables = [snapshot(str(tmp_path / name / "votes")).sort_by(order) for name in ("at_once", "bit_by_bit")]
    assert tables[0].schema == VOTES
    assert tables[0].equals(tables[1])


@pytest.mark.parametrize("point", VOTES_POINTS)
def test_killed_at_the_worst_moment_and_run_again(point: str, tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_bytes(export(rows(range(20))))
    words = ["votes", "export=e.csv", "output=out"]
    with running(words, tmp_path, {CRASH_AT: point}) as killed:
        assert killed.process.wait(120) == -signal.SIGKILL, killed.text()
    assert len(ids(tmp_path / "out")) == (40 if point == "after_votes" else 0)
    assert run(f"export={tmp_path}/e.csv", f"output={tmp_path}/out") == 0
    assert ids(tmp_path / "out") == twice(range(20))


@pytest.mark.long
def test_killed_anywhere_twenty_times(tmp_path: Path) -> None:
    """Exports that grow, each command killed at a random moment before it's allowed to end."""
    chance, seconds = random.Random(5), 6.0
    for size in range(1, 21):
        (tmp_path / "e.csv").write_bytes(export(rows(range(size * 2000))))
        words = ["votes", "export=e.csv", "output=out"]
        with running(words, tmp_path) as run:
            time.sleep(chance.uniform(0.5, 1.2) * seconds)
            os.kill(run.process.pid, signal.SIGKILL)
            run.process.wait(60)
        if size % 5 == 0:
            began = time.monotonic()
            with running(words, tmp_path) as run:
                assert run.process.wait(300) == 0, run.text()
            seconds = time.monotonic() - began
            assert ids(tmp_path / "out") == twice(range(size * 2000))


def test_of_two_commands_at_once_one_adds_and_one_says_so(tree: DecisionTree, tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_bytes(export(rows(range(20))))
    output = str(tmp_path / "out")

    def overtaken() -> Iterator[Piece]:
        yield from pieces(tmp_path / "e.csv", tree)
        add_votes(output, pieces(tmp_path / "e.csv", tree))

    with pytest.raises(HeldError, match="another command added votes"):
        add_votes(output, overtaken())
    assert ids(tmp_path / "out") == twice(range(20))


def test_an_export_that_turns_out_unreadable_adds_nothing(tree: DecisionTree, tmp_path: Path) -> None:
    (tmp_path / "e.csv").write_bytes(export(rows(range(20))))

    def broken_off() -> Iterator[Piece]:
        yield from pieces(tmp_path / "e.csv", tree)
        raise InputError("gone")

    with pytest.raises(InputError, match="gone"):
        add_votes(str(tmp_path / "out"), broken_off())
    assert ids(tmp_path / "out") == []


def test_what_is_no_table_of_votes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not a table of votes"):
        list(read_votes_table(str(tmp_path), ["user"]))


@given(st.lists(st.lists(st.integers(0, 30), max_size=12), max_size=8), st.lists(st.integers(0, 30)))
def test_each_id_is_new_once(batches: list[list[int]], known: list[int]) -> None:
    held, expected = ClassificationIds([np.array(known, np.int64)]), set(known)
    for batch in batches:
        numbers = [number for number in batch for _ in range(2)]  # two answers each, side by side
        votes = pa.table({"classification_id": pa.array(numbers, pa.int64())})
        new, again = held.take_new(votes)
        fresh = list(dict.fromkeys(number for number in batch if number not in expected))
        assert list(dict.fromkeys(new["classification_id"].to_pylist())) == fresh
        runs = 1 + sum(a != b for a, b in itertools.pairwise(batch)) if batch else 0
        assert again == runs - len(fresh)
        expected |= set(batch)


@pytest.mark.long
def test_a_folder_is_read_file_by_file_at_once(tmp_path: Path) -> None:
    """Successive exports in one folder hold the same classifications again."""
    folder = tmp_path / "exports"
    folder.mkdir()
    for number, end in enumerate((10, 25, 40)):
        (folder / f"{number}.csv").write_bytes(export(rows(range(end))))
    with running(["votes", "export=exports", "output=out"], tmp_path) as run:
        assert run.wait() == 0, run.text()
    assert "40 new classifications with 80 votes added" in run.text()
    assert ids(tmp_path / "out") == twice(range(40))
    (folder / "torn.csv").write_bytes(b"a,b\n")
    with running(["votes", "export=exports", "output=out"], tmp_path) as run:
        assert run.wait() == 2
    assert "torn.csv is no classification export of the Zooniverse" in run.text().splitlines()[-1]
