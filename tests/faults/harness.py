"""Runs of the command line in processes of their own, and ways to kill parts of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.faults import DRIVER_PID
from tests.support.command import RAY_SETTINGS, ROOT

_MARK = "TUNINGFORK_TEST_RUN"


class Run:
    """One call of ``tuningfork``; everything that it starts carries a mark in its environment."""

    def __init__(
        self,
        words: list[str],
        folder: Path,
        environment: dict[str, str] | None = None,
        new_group: bool = False,
    ) -> None:
        self.mark = uuid.uuid4().hex
        # A process that streams in this suite leaves its id there, and would be killed in the run's place.
        base = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith("RAY_") and key != DRIVER_PID
        }
        self.log = folder / f"{self.mark}.log"
        self._stream = self.log.open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "jobs.cli", *words],
            cwd=folder,
            env=base | {"PYTHONPATH": str(ROOT), _MARK: self.mark} | RAY_SETTINGS | (environment or {}),
            stdout=self._stream,
            stderr=subprocess.STDOUT,
            process_group=0 if new_group else None,
        )

    def wait(self, seconds: float = 300) -> int:
        """The exit status, once no process of the run can write any more (Ray's agents may stay a while)."""
        status = self.process.wait(seconds)
        self._stream.close()
        wait_for(lambda: not [*self.processes("ray::Map"), *self.processes("raylet")], seconds=60)
        return status

    def processes(self, title: str = "") -> Iterator[int]:
        """Process ids of the run whose command line holds `title`."""
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                environment = (entry / "environ").read_bytes()
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            if f"{_MARK}={self.mark}".encode() in environment and title in command:
                yield int(entry.name)

    def kill(self, title: str) -> int:
        """Kill one process of that title, as soon as there is one; returns its id."""
        found: list[int] = []
        wait_for(lambda: bool(found.extend(self.processes(title)) or found), seconds=120)
        os.kill(found[0], signal.SIGKILL)
        return found[0]

    def text(self) -> str:
        """All that the run has printed."""
        return self.log.read_text(errors="replace")


@contextmanager
def running(
    words: list[str], folder: Path, environment: dict[str, str] | None = None, new_group: bool = False
) -> Iterator[Run]:
    """A run that is killed at the end, with all that it started, if it still goes."""
    run = Run(words, folder, environment, new_group)
    try:
        yield run
    finally:
        for process in [run.process.pid, *run.processes()]:
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                continue
        run.process.wait()


def stop(child: int) -> None:
    """Stop a child of this process, all its threads: a signal alone leaves them running for a moment."""
    os.kill(child, signal.SIGSTOP)
    os.waitid(os.P_PID, child, os.WSTOPPED)


def wait_for(condition: Callable[[], bool], seconds: float) -> None:
    """Wait until a condition holds.

    Raises
    ------
    TimeoutError
        If it doesn't within so many seconds.
    """
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError(f"still not so after {seconds:g} s")
        time.sleep(0.02)
