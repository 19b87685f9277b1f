"""Child processes that read or decode what may end them, and how one ended, in words."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection

START_SECONDS = 120.0
READ_SECONDS = 900.0
GRACE_SECONDS = 10.0


@dataclass(frozen=True)
class Ending:
    """How a process ended: a code for the quarantine, and words that follow "it"."""

    reason: str
    how: str


class ChildProcess:
    """A Python process that runs a module and answers over connections.

    Parameters
    ----------
    module
        Is given the descriptors of its ends of the connections, then `arguments`.
    theirs
        Those ends; they are closed here.
    """

    def __init__(self, module: str, theirs: Sequence[Connection], *arguments: str) -> None:
        single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ARROW_NUM_THREADS"), "1")
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115
        descriptors = [end.fileno() for end in theirs]
        self._process = subprocess.Popen(  # noqa: S603
            [sys.executable, "-m", module, ",".join(map(str, descriptors)), *arguments],
            pass_fds=descriptors,
            cwd=os.sep,  # Ray may have made a job's own anew, and then it can't be started there
            env=os.environ | single | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._complaints,
        )
        for end in theirs:
            end.close()

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def last_words(self) -> str:
        """The last line that it wrote to its standard error."""
        self._complaints.seek(0)
        lines = self._complaints.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "no message"

    def end(self) -> None:
        """Kill the process, if it still runs."""
        self._process.kill()
        self._process.wait()

    def ending(self, seconds: float) -> Ending:
        """How it ended; one that hasn't is taken for one that took more than the `seconds` it had."""
        try:
            status = self._process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            status = -signal.SIGALRM
        if status >= 0:
            return Ending("killed_decoder", f"ended its process (exit status {status})")
        name = signal.Signals(-status).name
        if name in ("SIGALRM", "SIGPROF"):
            return Ending("decode_timeout", f"took more than {seconds:g} s")
        if name == "SIGKILL":
            return Ending(
                "out_of_memory", "ended with its process killed (SIGKILL): most often memory ran out"
            )
        return Ending("killed_decoder", f"killed its process ({name}: {signal.strsignal(-status)})")
