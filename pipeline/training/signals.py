"""Signals that ask a process to end, and what must not be cut in two by them."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator

_ENDING = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def signals_held() -> Iterator[None]:
    """Let SIGINT and SIGTERM wait until the block is left; outside of the main thread they don't come."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    waiting: list[int] = []
    # A handler that wasn't set from Python can't be put back, and stays.
    before = {number: handler for number in _ENDING if (handler := signal.getsignal(number)) is not None}
    for number in before:
        signal.signal(number, lambda number, _: waiting.append(number))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if waiting:
        signal.raise_signal(waiting[0])
