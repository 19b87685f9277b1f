"""Signals that ask a run to end: what is held is given back, and one line is said."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

_ENDING = (signal.SIGINT, signal.SIGTERM)


class Interrupted(SystemExit):
    """A signal asked the process to end; no failure, so that no one handles it on its way up.

    Attributes
    ----------
    status
        The exit status: 128 and the signal's number.
    """

    def __init__(self, number: int) -> None:
        self.status = 128 + number
        super().__init__(self.status)


@contextlib.contextmanager
def signals_taken() -> Iterator[None]:
    """Let SIGINT and SIGTERM raise `Interrupted` in the main thread; one that is ignored stays so."""
    before = {number: signal.getsignal(number) for number in _ENDING}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, _interrupt)
    yield
    for number, handler in before.items():
        if signal.getsignal(number) is _interrupt:
            signal.signal(number, handler)


def _interrupt(number: int, frame: FrameType | None) -> None:
    # `timeout` and terminals send a signal more than once: a second one must not break the giving back.
    for ending in _ENDING:
        signal.signal(ending, signal.SIG_IGN)
    raise Interrupted(number)
