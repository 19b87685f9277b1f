"""The user's folder for what can be computed anew."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def cache_folder() -> Path:
    """Where choices and changed assembler text are kept; it may not exist yet.

    Raises
    ------
    RuntimeError
        If the user has no home folder.

    References
    ----------
    XDG Base Directory Specification: a relative path in ``XDG_CACHE_HOME`` is to be ignored.
    """
    given = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (given if given.is_absolute() else Path.home() / ".cache") / "tuningfork" / "kernels"


def write_whole(path: Path, text: str) -> None:
    """Write a file so that another process, which may be reading it, never sees a part of it.

    Raises
    ------
    OSError
        If it can't be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent)
    try:
        with open(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
