"""Signals that ask a process to end, and what must not be cut in two by them."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def signals_held() -> Iterator[None]:
    """Let SIGINT and SIGTERM wait until the block is done; the first that came is then raised again.

    A block that raises an error is left with that error, and signals that came meanwhile are dropped. Outside
    of the main thread nothing is done: Python handles signals in the main thread alone.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    waiting: list[int] = []
    with _held(signal.SIGINT, waiting), _held(signal.SIGTERM, waiting):
        yield
    if waiting:
        signal.raise_signal(waiting[0])


@contextlib.contextmanager
def _held(number: int, waiting: list[int]) -> Iterator[None]:
    """Only note a signal in the block; its handler is put back even if another one's raises meanwhile."""
    before = signal.getsignal(number)
    if before is None:  # it wasn't set from Python, which couldn't put it back
        yield
        return
    try:
        signal.signal(number, lambda number, _: waiting.append(number))
        yield
    finally:
        signal.signal(number, before)
