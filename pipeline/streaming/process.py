"""Child processes, in which files are read or decoded that may crash them, and how one ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipeline.errors import RunError

if TYPE_CHECKING:  # a verb that starts no child needs none
    from multiprocessing.connection import Connection

START_SECONDS = 120.0
READ_SECONDS = 900.0
GRACE_SECONDS = 10.0

_PATHS = (
    "AWS_CA_BUNDLE",
    "AWS_CONFIG_FILE",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "CURL_CA_BUNDLE",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TMPDIR",
)
"""Variables of the environment by which clients of stores, and Python, read files."""

_OF_SOMEBODY = ("SIGTERM", "SIGINT", "SIGHUP")


@dataclass(frozen=True)
class Ending:
    """How a process ended.

    Attributes
    ----------
    reason
        A code for the quarantine.
    description
        A verb phrase for messages: ``took more than 30 s``.
    outside
        Whether the machine or a person ended it, which says nothing about the file that it read.
    """

    reason: str
    description: str
    outside: bool = False


class ChildProcess:
    """A Python process that runs a module and answers over connections.

    Parameters
    ----------
    module
        Is given the descriptors of its ends of the connections, then `arguments`.
    theirs
        The child's ends of the connections; they are closed in this process.

    Raises
    ------
    RunError
        If the machine has no process, or no temporary file, for it; or after `end_all`.
    """

    def __init__(self, module: str, theirs: Sequence[Connection], *arguments: str) -> None:
        descriptors = [end.fileno() for end in theirs]
        try:
            self._complaints = tempfile.TemporaryFile()  # noqa: SIM115
            self._process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-m", module, ",".join(map(str, descriptors)), *arguments],
                pass_fds=descriptors,
                cwd=os.sep,  # Ray may have made a job's own anew, and then it can't be started there
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._complaints,
            )
        except OSError as error:
            raise RunError(_unstarted(str(error))) from error
        finally:
            for end in theirs:
                end.close()
        _living.add(self)
        if _no_more:
            self.end()
            raise RunError(_unstarted("the command was interrupted"))

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def failed_start(self) -> RunError:
        """Why it didn't say in `START_SECONDS` that it is ready; it is ended."""
        description = self.ending(START_SECONDS).description
        self.end()
        return RunError(_unstarted(f"starting it {description}"))

    def kill(self) -> None:
        """Kill the process, if it still runs, and don't wait for its end."""
        self._process.kill()

    def end(self) -> None:
        """Kill the process, if it still runs."""
        self._process.kill()
        self._process.wait()
        _living.discard(self)

    def ending(self, seconds: float) -> Ending:
        """How it ended; one that hasn't is taken for one that took more than the `seconds` it had."""
        try:
            status = self._process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            status = -signal.SIGALRM
        if status >= 0:
            complaint = ": ".join([f"exit status {status}", *self._last_line()])
            return Ending("killed_decoder", f"ended its process ({complaint})", outside=True)
        name = signal.Signals(-status).name
        if name in ("SIGALRM", "SIGPROF"):
            return Ending("decode_timeout", f"took more than {seconds:g} s")
        if name == "SIGKILL":
            description = "ended with its process killed (SIGKILL): most often memory ran out"
            return Ending("out_of_memory", description, outside=True)
        signalled = f"({name}: {signal.strsignal(-status)})"
        if name in _OF_SOMEBODY:
            return Ending("killed_decoder", f"ended with its process killed {signalled}", outside=True)
        return Ending("killed_decoder", f"killed its process {signalled}")

    def _last_line(self) -> list[str]:
        """The last line that it wrote to its standard error, if any."""
        self._complaints.seek(0)
        return self._complaints.read().decode(errors="replace").strip().splitlines()[-1:]


_living: set[ChildProcess] = set()
_no_more = False


def end_all() -> None:
    """Kill every child, and let none be started any more: nobody need wait for one.

    It takes no lock, so that a signal's handler may call it.
    """
    global _no_more
    _no_more = True
    for child in list(_living):
        child.kill()


def _environment() -> dict[str, str]:
    """The environment of this process, for a child that works in another folder, on one processor."""
    relative = {
        name: path for name in _PATHS if (path := os.environ.get(name, "/"))[:1] not in ("", "/", "~")
    }
    paths = {name: os.path.join(os.getcwd(), path) for name, path in relative.items()}
    single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ARROW_NUM_THREADS"), "1")
    return os.environ | paths | single | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def _unstarted(why: str) -> str:
    return (
        f"cannot start a process that files are read in: {why}; look at the machine's memory, limits and "
        "temporary folder, then run the same command again"
    )
