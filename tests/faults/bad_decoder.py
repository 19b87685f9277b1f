"""A decoder with bugs, and the real child process with it: ``python -m tests.faults.bad_decoder FD``.

An image whose bytes are ``TUNINGFORK-FAULT:<kind>`` does to the process what a bug in C code could do. To the
decoder as it is, such bytes are like any others that are no image.
"""

from __future__ import annotations

import ctypes
import functools
import os
import signal
import sys
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from typing import Any

from pipeline.streaming import isolation, rows
from pipeline.streaming.child import serve

PREFIX = b"TUNINGFORK-FAULT:"

NAME = "tests.faults.bad_decoder"


def fault_image(kind: str) -> bytes:
    """The bytes that cause a fault: ``segv``, ``abort``, ``exit``, ``oom`` or ``spin``.

    Two signals, an exit, memory without bound, and C code that never returns.
    """
    return PREFIX + kind.encode()


def put_bugs_in() -> None:
    """Have this process decode, and all child processes that it starts, with the bugs."""
    decoder: Any = rows
    decoder.develop, decoder.picture_row = map(_with_bugs, (decoder.develop, decoder.picture_row))
    isolation.CHILD = NAME


def _with_bugs(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def faulty(cutout: Mapping[str, Any], *more: Any) -> Any:
        image = cutout["image"]
        if isinstance(image, bytes) and image.startswith(PREFIX):
            _cause(image.removeprefix(PREFIX).decode())
        return function(cutout, *more)

    return faulty


def _cause(kind: str) -> None:
    if kind == "segv":
        ctypes.string_at(0)
    elif kind == "abort":
        os.kill(os.getpid(), signal.SIGABRT)
    elif kind == "exit":
        os._exit(3)
    elif kind == "oom":
        hoard = []
        while True:
            hoard.append(b"\1" * (64 << 20))
    elif kind == "spin":
        libc = ctypes.PyDLL(None)  # keeps the interpreter's lock, as a C extension would
        while True:
            libc.pause()


if __name__ == "__main__":
    put_bugs_in()
    serve(Connection(int(sys.argv[1])))
