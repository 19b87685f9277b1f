"""Processes that run the command line on a stage, forked from one that has loaded everything already.

Loading takes seconds of a command's time, and a fork none; each is a process of its own in all other ways.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from multiprocessing import forkserver
from pathlib import Path

from pipeline.faults import DRIVER_PID
from tests.faults.harness import wait_for
from tests.faults.stage import Stage

_LOADS = "tests.faults.repertoire"
_context = multiprocessing.get_context("forkserver")


class Player:
    """A command in a process of its own.

    Parameters
    ----------
    folder
        Where it works.
    environment
        What is added to that of the process that it is forked from.

    Attributes
    ----------
    log
        All that it prints.
    """

    def __init__(
        self, words: Sequence[str], stage: Stage, folder: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self.words, self.stage = words, stage
        file, name = tempfile.mkstemp(".log", f"{words[0]}-", folder)
        self.log = Path(name)
        os.close(file)
        self._process = _context.Process(
            target=_perform, args=(words, stage, str(folder), dict(environment or {}), name)
        )
        self._process.start()

    @property
    def status(self) -> int | None:
        """Its exit status; None while it goes, or is stopped."""
        return self._process.exitcode

    def signal(self, number: signal.Signals) -> None:
        """Stop it, have it go on, or kill it; nothing if it has ended."""
        if self.status is None and self._process.pid is not None:
            with contextlib.suppress(ProcessLookupError):  # it may have ended in this moment
                os.kill(self._process.pid, number)

    def wait_until_stopped(self) -> None:
        """Wait until it has stopped itself."""
        stat = Path(f"/proc/{self._process.pid}/stat")
        wait_for(
            lambda: self.status is not None or stat.read_text().rpartition(")")[2].split()[0] in "Tt",
            seconds=120,
        )
        assert self.status is None, self.text()

    def wait(self, seconds: float = 120) -> int | None:
        """Its exit status; None if it still goes after so many seconds."""
        self._process.join(seconds)
        return self.status

    def text(self) -> str:
        """All that it has printed."""
        return self.log.read_text(errors="replace")

    def __str__(self) -> str:
        """Verb and what it said last."""
        last = ["", *self.text().splitlines()][-1]
        return f"{self.words[0]} on {self.stage.host}: {self.status}, {last[:160]}"


@contextlib.contextmanager
def company() -> Iterator[None]:
    """Have one process load everything, from which all players are forked."""
    _context.set_forkserver_preload([_LOADS])
    try:
        yield
    finally:
        forkserver._forkserver._stop()  # type: ignore[attr-defined]


def _perform(
    words: Sequence[str], stage: Stage, folder: str, environment: Mapping[str, str], log: str
) -> None:
    os.chdir(folder)
    stream = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(stream, 1)
    os.dup2(stream, 2)
    os.environ.pop(DRIVER_PID, None)  # a process that streams in this suite leaves its own there
    os.environ.update(environment)
    stage.set_up()
    from jobs.cli import main

    sys.argv = ["tuningfork", *words]
    main(list(words))
