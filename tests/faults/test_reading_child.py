"""The process that reads files for a run's driver: short of something, stopped, signalled, interrupted."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline import storage
from pipeline.errors import RunError, StorageTrouble
from pipeline.streaming import reading
from pipeline.streaming.reading import Reader, open_inventory
from tests.faults.harness import stop, wait_for
from tests.faults.poison import galaxy, write_shard
from tests.faults.test_hostile_files import SETTINGS, children, write
from tests.integration.test_interrupt import LINE
from tests.support.command import ROOT
from tests.support.forms import survey


def shard_of(path: Path, name: str) -> str:
    """A shard of one galaxy."""
    return write_shard(path / f"{name}.parquet", [{"object_id": name, "image": galaxy(0)}])


@contextlib.contextmanager
def limit(kind: int, most: int) -> Iterator[None]:
    """A limit that this process's new children have; it is too late for itself to notice."""
    soft, hard = resource.getrlimit(kind)
    resource.setrlimit(kind, (most, hard))
    try:
        yield
    finally:
        resource.setrlimit(kind, (soft, hard))


def test_an_error_outside_an_answer_ends_the_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "READ_SECONDS", 10)
    child = reading._Child(2, 60)
    with pytest.raises(reading._Died, match=r"exit status 1: TypeError: _answer\(\) got an unexpected"):
        child.ask({"arguments": ["a"], "nonsense": 1})


def test_a_child_that_gets_no_threads_is_no_fault_of_the_file(tmp_path: Path) -> None:
    shard = shard_of(tmp_path, "a")
    with (
        limit(resource.RLIMIT_STACK, 1 << 46),  # of each new thread, and more than there are addresses
        pytest.raises(RunError, match=r"cannot start a process .*: can't start new thread\)"),
    ):
        open_inventory().read_ids(shard)


@pytest.mark.long  # test_hostile_files.py kills one from outside, too
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_child_that_somebody_ends_is_no_fault_of_the_file(tmp_path: Path, number: signal.Signals) -> None:
    shard, me = write(tmp_path / "a.h5", "spin"), os.getpid()
    before = children(me)

    def end_two() -> None:
        ended = before
        for _ in range(2):
            wait_for(lambda ended=ended: bool(children(me) - ended), 60)
            new = children(me) - ended
            time.sleep(2)
            for child in new:
                os.kill(child, number)
            ended = ended | new

    killer = threading.Thread(target=end_two)
    killer.start()
    with pytest.raises(RunError, match=rf"process killed \({number.name}.*run the same command again"):
        open_inventory(survey(**SETTINGS)).read_ids(shard)
    killer.join()


def test_a_child_that_is_killed_as_it_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    popen = subprocess.Popen

    def killed(*words: Any, **settings: Any) -> subprocess.Popen[bytes]:
        started: subprocess.Popen[bytes] = popen(*words, **settings)
        started.kill()
        return started

    monkeypatch.setattr(subprocess, "Popen", killed)
    with pytest.raises(RunError, match=r"cannot start a process .*SIGKILL"):
        Reader().read("read_footer", None, "a.parquet")


def test_there_is_no_folder_for_temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(RunError, match=r"cannot start a process .*No such file or directory.*/none"):
        Reader().read("read_footer", None, "a.parquet")


def test_an_answer_to_a_question_that_was_broken_off_is_given_to_no_other(tmp_path: Path) -> None:
    names = [f"g{number}" for number in range(40)]
    shards, before = [shard_of(tmp_path, name) for name in names], children(os.getpid())
    inventory = open_inventory()
    assert inventory.read_ids(shards[0]).to_pylist() == ["g0"]
    (child,) = children(os.getpid()) - before
    stop(child)

    def break_off(*_: object) -> None:
        raise KeyboardInterrupt

    handler = signal.signal(signal.SIGALRM, break_off)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.5)
        with pytest.raises(KeyboardInterrupt):
            inventory.read_ids(shards[1])
    finally:
        signal.signal(signal.SIGALRM, handler)
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGCONT)
    assert [inventory.read_ids(shard).to_pylist() for shard in shards] == [[name] for name in names]


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.long)])
def test_an_interrupt_ends_a_driver_whose_child_does_not_answer(
    tmp_path: Path, number: signal.Signals
) -> None:
    """It is stopped, or in C code that has no end."""
    shard = write(tmp_path / "a.h5", "spin")
    code = (
        "import sys\nfrom jobs.ending import exit_status\nfrom pipeline import storage\n"
        "from pipeline.streaming.reading import open_inventory\nfrom tests.support.forms import survey\n"
        "from tests.faults.test_hostile_files import SETTINGS\n"
        "inventory = open_inventory(survey(**SETTINGS))\n"
        "sys.exit(exit_status(lambda: len(list(storage.read_ahead(inventory.read_ids, sys.argv[1:])))))"
    )
    driver = subprocess.Popen(
        [sys.executable, "-c", code, shard, shard, shard],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_for(lambda: bool(children(driver.pid)), 60)
        (child,) = children(driver.pid)
        wait_for(lambda: processor_seconds(child) > 3, 60)
        if number == signal.SIGTERM:
            os.kill(child, signal.SIGSTOP)
        driver.send_signal(number)
        _, complaint = driver.communicate(timeout=15)
        assert (driver.returncode, complaint) == (128 + number, f"{LINE}\n")
        wait_for(lambda: not Path(f"/proc/{child}").exists(), 5)
    finally:
        driver.kill()
        driver.wait()


def processor_seconds(pid: int) -> float:
    """What a process has computed for."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


@pytest.mark.parametrize(("under_way", "status"), [(1, -signal.SIGPROF), (3, 0)])
def test_requests_under_way_share_what_all_may_compute(under_way: int, status: int) -> None:
    code = (
        "import contextlib, sys, time\nfrom pipeline.streaming.reading_child import Allowance\n"
        "allowance = Allowance(1)\n"
        "with contextlib.ExitStack() as stack:\n"
        " for _ in range(int(sys.argv[1])): stack.enter_context(allowance)\n"
        " end = time.process_time() + 2\n while time.process_time() < end: pass"
    )
    done = subprocess.run([sys.executable, "-c", code, str(under_way)], cwd=ROOT, check=False)
    assert done.returncode == status


def test_paths_in_the_environment_mean_the_same_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bucket: str
) -> None:
    """A store's keys, in a file beside the run."""
    keys = {name: os.environ[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    lines = [f"{name.lower()} = {key}" for name, key in keys.items()]
    (tmp_path / "keys").write_text("\n".join(["[default]", *lines, ""]))
    shard = shard_of(tmp_path, "g")
    uri = f"{bucket}/g.parquet"
    storage.write_bytes(uri, Path(shard).read_bytes())
    for name in keys:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "keys")
    monkeypatch.chdir(tmp_path)
    assert open_inventory().read_ids(uri).to_pylist() == ["g"]
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "none")
    with pytest.raises(StorageTrouble):
        open_inventory().read_ids(uri)
