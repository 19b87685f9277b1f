"""Panics of the Delta library: it is written in Rust, and prints where it failed within itself."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
from collections.abc import Iterator

_PANIC = re.compile(
    rb"\n?thread '[^\n]* panicked at [^\n]*\n[^\n]*\n(?:stack backtrace:\n(?: [^\n]*\n)*)?(?:note: [^\n]*\n)?"
)


@contextlib.contextmanager
def panics_unprinted() -> Iterator[None]:
    """Keep panics from standard error, for an exception tells of them; all else comes through at the end.

    Raises
    ------
    OSError
        In the place of the library's exception for a panic, which is no `Exception`.
    """
    sys.stderr.flush()
    own = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException as error:
            if type(error).__name__ == "PanicException":
                raise OSError(f"the Delta library failed within itself: {error}") from error
            raise
        finally:
            sys.stderr.flush()
            os.dup2(own, 2)
            os.close(own)
            held.seek(0)
            os.write(2, _PANIC.sub(b"", held.read()))
