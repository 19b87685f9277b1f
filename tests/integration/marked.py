"""Processes that were started by a test, known by a mark in their environment."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

MARK = "TUNINGFORK_TEST_CLUSTER"


def marked(mark: str) -> Iterator[int]:
    """Ids of processes whose environment has the mark."""
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and f"{MARK}={mark}".encode() in (entry / "environ").read_bytes():
                yield int(entry.name)


def command_line(process: int) -> str:
    """Of a process that lives."""
    return Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")


def kill_marked(mark: str) -> None:
    """Kill them all."""
    for process in marked(mark):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])
