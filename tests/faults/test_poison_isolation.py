"""Which rows are found guilty, with children that are played; and the real child's manners."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.cutouts import CUTOUT_SCHEMA
from pipeline.errors import InputError, RunError, StorageTrouble
from pipeline.protocol import WorkUnit
from pipeline.streaming import isolation, process
from pipeline.streaming.decode import DecodeActor, decode_unit, unit_of
from pipeline.streaming.first_rows import check_survey
from pipeline.streaming.isolation import ChildDied, IsolatedDecoder, decode_around_culprits
from pipeline.streaming.viewing import Viewer
from pipeline.survey import open_source
from pipeline.survey.formats.parquet import ParquetSource
from tests.faults import bad_decoder
from tests.faults.poison import LIMITS, galaxy, poisoned_shard, write_shard
from tests.support.forms import survey


class PlayedChild:
    """Dies at culprits always, at shaky rows the first time, and when it reads a piece in `unreadable`."""

    def __init__(self, culprits: set[int], shaky: set[int], unreadable: list[range]) -> None:
        self.culprits, self.shaky, self.unreadable = culprits, set(shaky), unreadable
        self.runs = self.deaths = 0

    def run(self, start: int, stop: int) -> Iterator[dict[str, Any]]:
        self.runs += 1
        if any(start < piece.stop and stop > piece.start for piece in self.unreadable):
            self.deaths += 1
            raise ChildDied(None, "killed_decoder", "killed its process (SIGSEGV)")
        for row in range(start, stop):
            if row in self.culprits or row in self.shaky:
                self.shaky.discard(row)
                self.deaths += 1
                raise ChildDied({"row": row}, "killed_decoder", "killed its process (SIGSEGV)")
            yield {"row": row}


ROWS = st.sets(st.integers(0, 59))


@settings(max_examples=100, deadline=None)
@given(culprits=ROWS, shaky=ROWS, cuts=ROWS, bad_pieces=st.sets(st.integers(0, 5)))
def test_exactly_the_culprits_are_found(
    culprits: set[int], shaky: set[int], cuts: set[int], bad_pieces: set[int]
) -> None:
    ends = [0, *sorted(cuts - {0}), 60]
    pieces = list(itertools.pairwise(ends))
    unreadable = [range(*piece) for index, piece in enumerate(pieces) if index in bad_pieces]
    child = PlayedChild(culprits, shaky, unreadable)
    rows = decode_around_culprits(pieces, child.run)
    assert [row["row"] for row in rows] == list(range(60))
    lost = {row for piece in unreadable for row in piece}
    reasons = {row["row"]: row["reason"] for row in rows if "reason" in row}
    assert {row for row, reason in reasons.items() if reason == "unreadable_rows"} == lost
    assert {row for row, reason in reasons.items() if reason == "killed_decoder"} == culprits - lost
    tried = (culprits | shaky) - lost
    assert child.deaths <= 2 * len(culprits - lost) + len(tried - culprits) + 2 * len(unreadable)
    assert child.runs <= len(pieces) + 2 * len(tried) + len(unreadable)


@pytest.fixture
def decoder() -> Iterator[IsolatedDecoder]:
    decoder = IsolatedDecoder(LIMITS, open_source())
    yield decoder
    decoder.close()


@pytest.fixture
def bugs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have child processes decode with bugs."""
    monkeypatch.setattr(isolation, "CHILD", bad_decoder.NAME)


def test_isolation_gives_what_the_actor_itself_gives(tmp_path: Path, decoder: IsolatedDecoder) -> None:
    shard = poisoned_shard(tmp_path / "s.parquet", 12, {3: "segv"})  # without bugs: just no image
    unit = WorkUnit(4, shard, 2, 11, (5,))
    own = decode_unit(unit).drop(["decode_seconds"])
    assert [row["row"] for row in decoder.decode(unit)] == list(range(2, 11))
    actor = DecodeActor(LIMITS, isolated=True)
    batch = pa.Table.from_pylist([asdict(unit)])
    assert unit_of(batch) == unit
    assert actor(batch).drop(["decode_seconds"]).equals(own)
    reasons = {row["row"]: row["reason"] for row in own.to_pylist() if row["reason"]}
    assert reasons == {3: "not_an_image", 5: "duplicate_object_id"}


@pytest.mark.usefixtures("bugs")
def test_a_child_is_kept_until_it_dies(
    tmp_path: Path, decoder: IsolatedDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = []
    popen = subprocess.Popen
    monkeypatch.setattr(subprocess, "Popen", lambda *a, **k: started.append(a) or popen(*a, **k))
    good = WorkUnit(0, poisoned_shard(tmp_path / "good.parquet", 6, {}), 0, 6)
    bad = WorkUnit(1, poisoned_shard(tmp_path / "bad.parquet", 6, {1: "exit"}), 0, 6)
    for unit in (good, good):
        decoder.decode(unit)
    assert len(started) == 1
    assert [row.get("reason") for row in decoder.decode(bad)] == [None, "killed_decoder", *[None] * 4]
    decoder.decode(good)
    assert len(started) == 3


@pytest.mark.usefixtures("bugs")
def test_many_rows_that_time_out_get_less_and_less_time(tmp_path: Path, decoder: IsolatedDecoder) -> None:
    shard = poisoned_shard(tmp_path / "s.parquet", 4, dict.fromkeys((0, 3), "spin"))
    messages = [row.get("message", "") for row in decoder.decode(WorkUnit(0, shard, 0, 4))]
    assert "more than 1 s" in messages[0]
    assert messages[1:3] == ["", ""]
    assert "more than 0.5 s" in messages[3]


@pytest.mark.usefixtures("bugs")
def test_first_rows_that_kill_their_decoder_are_no_fault_of_the_survey_file(tmp_path: Path) -> None:
    poisoned_shard(tmp_path / "s.parquet", 3, {0: "segv", 1: "spin", 2: "oom"})
    source = open_source(survey(format="parquet"))
    check_survey(source, source.list_shards(str(tmp_path)), LIMITS)


@pytest.mark.usefixtures("bugs")
@pytest.mark.parametrize("plain", [True, pytest.param(False, marks=pytest.mark.long)])
def test_pictures_for_a_page_are_decoded_apart(tmp_path: Path, plain: bool) -> None:
    shard = poisoned_shard(tmp_path / "s.parquet", 12, {2: "segv", 9: "exit"})
    source = open_source(None if plain else survey(format="parquet"))
    with Viewer(LIMITS) as viewer:
        shown = viewer.view(source, shard, [1, 2, 5, 9, 10])
        assert shown.schema == CUTOUT_SCHEMA
        assert shown["object_id"].to_pylist() == ["s-1", "s-5", "s-10"]
        assert shown["image"].to_pylist() == [galaxy(1), galaxy(5), galaxy(3)]
        assert len(viewer.view(source, shard, [])) == len(viewer.view(source, shard, [2])) == 0
        with pytest.raises(InputError, match="it doesn't exist"):
            viewer.view(source, str(tmp_path / "none.parquet"), [0])


def test_a_shard_that_is_gone_is_no_death(tmp_path: Path, decoder: IsolatedDecoder) -> None:
    shard = Path(write_shard(tmp_path / "s.parquet", [{"object_id": "a", "image": galaxy(0)}]))
    unit = WorkUnit(0, str(shard), 0, 1)
    assert len(decoder.decode(unit)) == 1
    shard.unlink()
    with pytest.raises(InputError, match="it doesn't exist"):
        decoder.decode(unit)
    write_shard(shard, [{"object_id": "a", "image": galaxy(0)}])
    with pytest.raises(InputError, match="has 1 rows; expected rows 0 to 2"):
        decoder.decode(WorkUnit(0, str(shard), 0, 2))


def test_a_store_that_never_answers_quarantines_nothing(
    tmp_path: Path, decoder: IsolatedDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The child waits for a pipe that nobody writes to."""
    shard = Path(write_shard(tmp_path / "s.parquet", [{"object_id": "a", "image": galaxy(0)}]))
    decoder.decode(WorkUnit(0, str(shard), 0, 1))
    monkeypatch.setattr(ParquetSource, "group_ranges", lambda self, shard, start, stop: [(start, stop)])
    monkeypatch.setattr(isolation, "READ_SECONDS", 0.5)
    monkeypatch.setattr(process, "GRACE_SECONDS", 0.1)
    shard.unlink()
    os.mkfifo(shard)
    with pytest.raises(StorageTrouble, match=r"reading .*s\.parquet took more than 0\.5 s"):
        decoder.decode(WorkUnit(0, str(shard), 0, 1))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_child_that_dies_as_it_reads(
    tmp_path: Path, decoder: IsolatedDecoder, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    """A crash is the shard's fault, and costs the row group; a kill came from outside."""
    shard = tmp_path / "s.parquet"
    os.mkfifo(shard)
    monkeypatch.setattr(ParquetSource, "group_ranges", lambda self, shard, start, stop: [(0, 3), (3, stop)])
    receive = isolation._Child._receive

    def killing(child: isolation._Child, seconds: float) -> dict[str, Any] | None:
        if seconds == process.READ_SECONDS:
            os.kill(child._process.pid, number)
        return receive(child, seconds)

    monkeypatch.setattr(isolation._Child, "_receive", killing)
    unit = WorkUnit(0, str(shard), 0, 5)
    if number == signal.SIGKILL:
        with pytest.raises(StorageTrouble, match="memory ran out"):
            decoder.decode(unit)
        return
    rows = decoder.decode(unit)
    assert [(row["row"], row["reason"]) for row in rows] == [(row, "unreadable_rows") for row in range(5)]
    assert "SIGSEGV" in rows[0]["message"]


def test_a_child_that_cannot_start_quarantines_nothing(
    tmp_path: Path, decoder: IsolatedDecoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    shard = write_shard(tmp_path / "s.parquet", [{"object_id": "a", "image": galaxy(0)}])
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(RunError, match=r"cannot start a process .* \(exit status 1\)"):
        decoder.decode(WorkUnit(0, shard, 0, 1))


def test_the_child_loads_neither_ray_nor_torch() -> None:
    code = "import pipeline.streaming.child, sys; print(sorted({'ray', 'torch'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
