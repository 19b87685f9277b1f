"""How long a row may take to decode and how much memory; the kernel itself keeps the limits."""

from __future__ import annotations

import contextlib
import resource
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class DecodeLimits:
    """What decoding one row may take.

    Attributes
    ----------
    row_seconds
        A row takes milliseconds, the largest image that is accepted about two seconds.
    memory_bytes
        Address space beyond what the process has when it starts to decode.
    """

    row_seconds: float = 20.0
    memory_bytes: int = 4 << 30


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Kill this process by SIGALRM if the block takes longer.

    The signal's default action is left as it is: a Python handler would wait for C code that never returns.
    """
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


@contextlib.contextmanager
def memory_limit(extra_bytes: int) -> Iterator[None]:
    """Let allocations fail that would take this process to `extra_bytes` beyond its present size."""
    status = Path("/proc/self/statm")
    if not status.exists():  # not Linux: Ray's memory monitor alone guards
        yield
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = int(status.read_text().split()[0]) * resource.getpagesize() + extra_bytes
    if soft != resource.RLIM_INFINITY:
        limit = min(limit, soft)
    resource.setrlimit(resource.RLIMIT_AS, (limit, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))
