"""Faults put in on purpose, so that tests can show what the stream does about them.

With ``TUNINGFORK_FAULT_INJECTION=1`` in the environment, an image whose bytes are
``TUNINGFORK-FAULT:<kind>`` does to its process what a bug in a decoder could do. Without it, such bytes are
like any others that are no image.
"""

from __future__ import annotations

import ctypes
import os
import signal

PREFIX = b"TUNINGFORK-FAULT:"

KINDS = ("segv", "abort", "exit", "oom", "spin")
"""What can be injected: two signals, an exit, memory without bound, and C code that never returns."""


def fault_image(kind: str) -> bytes:
    """The bytes that cause a fault."""
    return PREFIX + kind.encode()


def inject(data: bytes) -> None:
    """Cause the fault that `data` names, if faults are switched on."""
    if not data.startswith(PREFIX) or os.environ.get("TUNINGFORK_FAULT_INJECTION") != "1":
        return
    kind = data.removeprefix(PREFIX).decode()
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
