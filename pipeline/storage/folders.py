"""Folders for a store that can't rename one: made here, then copied file by file."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path

from pipeline.storage.connection import PART_BYTES
from pipeline.storage.explain import explained
from pipeline.storage.store import Store
from pipeline.storage.uris import join


@contextlib.contextmanager
def copied_folder(store: Store, path: str, uri: str, last: Collection[str]) -> Iterator[Path]:
    """A temporary folder, which ``TMPDIR`` places and whose files are copied when the block ends well.

    Parameters
    ----------
    uri
        Of the path, for messages.
    last
        Files that are copied in the end, so that a reader who needs them never takes a part for the whole.

    Raises
    ------
    InputError, RunError
        If a file can't be copied; those that were are removed.
    """
    with tempfile.TemporaryDirectory() as temporary:
        yield Path(temporary)
        _copy(Path(temporary), store, path, uri, last)


def _copy(folder: Path, store: Store, path: str, uri: str, last: Collection[str]) -> None:
    names = [file.relative_to(folder).as_posix() for file in sorted(folder.rglob("*")) if file.is_file()]
    copied: list[str] = []
    try:
        for name in sorted(names, key=lambda name: name in last):
            copied.append(join(path, name))
            with (
                explained("write", join(uri, name)),
                (folder / name).open("rb") as source,
                store.open_new(copied[-1]) as stream,
            ):
                shutil.copyfileobj(source, stream, PART_BYTES)
    except BaseException:
        for written in reversed(copied):
            with contextlib.suppress(Exception):  # what made the copy fail says more
                store.remove(written)
        raise
