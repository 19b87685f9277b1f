from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from pipeline import storage
from pipeline.catalogue import commit, files, read_state
from pipeline.errors import HeldError, InputError, RunError
from pipeline.protocol import Plan, RunLayout
from pipeline.protocol import lease as lease_protocol
from pipeline.protocol.lease import LeaseRecord
from pipeline.protocol.records import hold_lease, lease, read_ledger
from pipeline.protocol.records.lease import lease_uri
from pipeline.tree import DecisionTree
from tests.support.runs import finish
from tests.support.steps import commit_run

ROOT = Path(__file__).resolve().parents[3]
HOLDER = """
import sys, time
from pipeline.protocol.records import hold_lease
with hold_lease(sys.argv[1], "theirs"):
    print("held", flush=True)
    time.sleep(600)
"""


def other_process(output: str) -> subprocess.Popen[str]:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, output], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


def stored(output: str) -> LeaseRecord:
    return LeaseRecord.model_validate_json(storage.read_bytes(lease_uri(output)))


def lose_answers(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    """Let the next writes land although their caller is told that the store is away."""
    left = [count]
    swap = storage.write_if_match

    def deaf(uri: str, data: bytes, etag: str) -> bool:
        done = swap(uri, data, etag)
        if left[0] > 0:
            left[0] -= 1
            raise InputError("the store is away")
        return done

    monkeypatch.setattr(storage, "write_if_match", deaf)


def pretend(output: str, **changes: object) -> None:
    """Make the lease look as if another machine had written it."""
    record = stored(output).model_copy(update=changes)
    storage.write_bytes(lease_uri(output), record.model_dump_json().encode())


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "TIME_TO_LIVE", 1.0)
    monkeypatch.setattr(lease, "_BEAT", 0.1)
    monkeypatch.setattr(lease_protocol, "POLL_SECONDS", 0.1)


def test_a_lease_given_back_is_taken_at_once(tmp_path: Path) -> None:
    output = str(tmp_path)
    for epoch in (1, 2, 3):
        with hold_lease(output, "run") as held:
            assert held.epoch == epoch
            assert stored(output).holder
        assert stored(output).holder is None


def test_a_living_holder_is_respected_and_named(tmp_path: Path) -> None:
    holder = other_process(str(tmp_path))
    try:
        with pytest.raises(HeldError, match=rf"held by run theirs \(process {holder.pid}"):
            hold_lease(str(tmp_path), "mine").__enter__()
    finally:
        holder.kill()
        holder.wait()


def test_a_killed_holder_on_this_machine_is_replaced_at_once(tmp_path: Path) -> None:
    holder = other_process(str(tmp_path))
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    started = time.monotonic()
    with hold_lease(str(tmp_path), "mine") as held:
        assert held.epoch == 2
    assert time.monotonic() - started < lease_protocol.TIME_TO_LIVE / 2


@pytest.mark.usefixtures("hasty")
def test_a_silent_holder_elsewhere_is_replaced_after_a_lifetime(tmp_path: Path) -> None:
    output = str(tmp_path)
    with hold_lease(output, "theirs"):
        pass
    pretend(output, holder="somebody", node="elsewhere", run="theirs")
    started = time.monotonic()
    with hold_lease(output, "mine") as held:
        assert held.epoch == 2
    assert time.monotonic() - started >= 1.0


@pytest.mark.usefixtures("hasty")
def test_a_beating_holder_elsewhere_is_respected(tmp_path: Path) -> None:
    output = str(tmp_path)
    with hold_lease(output, "theirs"):
        pass
    stop = threading.Event()

    def beat() -> None:
        count = 0
        while not stop.wait(0.05):
            count += 1
            pretend(output, holder="somebody", node="elsewhere", beat=count)

    pretend(output, holder="somebody", node="elsewhere")
    thread = threading.Thread(target=beat)
    thread.start()
    try:
        with pytest.raises(HeldError, match="elsewhere"):
            hold_lease(output, "mine").__enter__()
    finally:
        stop.set()
        thread.join()


@pytest.mark.usefixtures("hasty")
def test_a_holder_notices_that_it_was_replaced(tmp_path: Path) -> None:
    output = str(tmp_path)
    with hold_lease(output, "mine") as held:
        held.check()
        pretend(output, holder="thief", node="elsewhere", epoch=7, run="theirs")
        time.sleep(0.5)
        with pytest.raises(HeldError, match=r"lease\.json was taken over by run theirs"):
            held.check()
    assert stored(output).holder == "thief"


@pytest.mark.usefixtures("hasty")
def test_of_many_contenders_one_takes_a_dead_lease(tmp_path: Path) -> None:
    output = str(tmp_path)
    with hold_lease(output, "theirs"):
        pass
    pretend(output, holder="somebody", node="elsewhere")
    winners: list[int] = []
    losers: list[str] = []

    def contend() -> None:
        try:
            with hold_lease(output, "mine") as held:
                winners.append(held.epoch)
                time.sleep(2.5)
        except HeldError as error:
            losers.append(str(error))

    threads = [threading.Thread(target=contend) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert winners == [2]
    assert len(losers) == 5


def test_a_writer_of_an_older_epoch_cannot_commit(layout: RunLayout, tree: DecisionTree, plan: Plan) -> None:
    other = plan.model_copy(update={"run": "later"})
    for run in (plan, other):
        for unit in run.units():
            finish(RunLayout(layout.output, run.run), tree, unit)
    later = RunLayout(layout.output, "later")
    commit_run(later, tree, other, read_ledger(later), epoch=5)
    with pytest.raises(HeldError, match="a later run has written"):
        commit_run(layout, tree, plan, read_ledger(layout), epoch=4)


@pytest.mark.usefixtures("hasty")
def test_a_beat_whose_answer_was_lost_is_no_takeover(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with hold_lease(str(tmp_path), "mine") as held:
        lose_answers(monkeypatch, 3)
        time.sleep(0.8)
        held.check()
        held.confirm()
    assert stored(str(tmp_path)).holder is None


@pytest.mark.usefixtures("hasty")
def test_a_store_that_stays_away_ends_the_run_with_advice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hold_lease(str(tmp_path), "mine") as held:
        lose_answers(monkeypatch, 1_000_000)
        time.sleep(2.0)
        with pytest.raises(RunError, match="run the same command again"):
            held.check()


@pytest.mark.usefixtures("hasty")
def test_a_lease_overwritten_with_nonsense_is_noticed(tmp_path: Path) -> None:
    with hold_lease(str(tmp_path), "mine") as held:
        storage.write_bytes(lease_uri(str(tmp_path)), b"{}")
        with pytest.raises(InputError, match=r"lease\.json is not a lease"):
            held.confirm()


def test_a_new_lease_is_later_than_the_last_commit(tmp_path: Path) -> None:
    with hold_lease(str(tmp_path), "mine", after_epoch=7) as held:
        assert held.epoch == 8
    with hold_lease(str(tmp_path), "mine", after_epoch=2) as held:
        assert held.epoch == 9


def test_a_zombie_is_dead(tmp_path: Path) -> None:
    holder = other_process(str(tmp_path))
    holder.kill()
    time.sleep(0.2)  # not waited for: it stays in the process table
    with hold_lease(str(tmp_path), "mine") as held:
        assert held.epoch == 2
    holder.wait()


def test_of_two_first_commits_one_stands(
    layout: RunLayout, tree: DecisionTree, plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One writer sees an empty catalogue, sleeps, and wakes when another has committed to it."""
    late, early = plan, plan.model_copy(update={"run": "early"})
    for run in (late, early):
        for unit in run.units():
            finish(RunLayout(layout.output, run.run), tree, unit)
    first = RunLayout(layout.output, "early")
    write, slept = files.write_data_files, [False]

    def sleep_after_compaction(*arguments: Any) -> object:
        written = write(*arguments)
        if not slept[0]:
            slept[0] = True
            commit_run(first, tree, early, read_ledger(first), epoch=2)
        return written

    monkeypatch.setattr(commit, "write_data_files", sleep_after_compaction)
    with pytest.raises(HeldError, match="a later run has written"):
        commit_run(layout, tree, late, read_ledger(layout), epoch=1)
    state = read_state(layout.output)
    assert state is not None
    assert (state.epoch, state.run, state.version) == (2, "early", 1)
