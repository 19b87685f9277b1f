"""What reading a shard gives, and how a damaged one is told from a store that fails."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from pipeline import storage
from pipeline.errors import InputError, StorageTrouble


class DamagedShard(InputError):
    """The bytes that the store gave are not sound; reading them again won't help."""


@dataclass(frozen=True)
class ShardInfo:
    """A part of a survey that is read in row ranges; `etag` changes when its content does."""

    uri: str
    size: int
    etag: str
    rows: int


@dataclass(frozen=True)
class SalvagedRows:
    """Rows of a shard of which some may be unreadable.

    Attributes
    ----------
    table
        Columns of `CUTOUT_SCHEMA`, and `SIZE` where frames are scaled by a column; all that couldn't be read
        is null.
    problems
        For each offset in the table that is bad as read: a reason's code, and a message.
    images
        What the source's `open_image` takes, one a row, where that isn't the bytes of the table's ``image``.
    """

    table: pa.Table
    problems: dict[int, tuple[str, str]]
    images: Sequence[Any] | None = None

    def cutouts(self) -> Iterator[dict[str, Any]]:
        """The rows one by one, ``image`` as `open_image` takes it."""
        if self.images is None:
            yield from self.table.to_pylist()
            return
        rest = self.table.drop_columns(["image"])
        for row, image in zip(rest.to_pylist(), self.images, strict=True):
            yield row | {"image": image}

    def cutout(self, offset: int) -> dict[str, Any]:
        """The row at an offset from the first, ``image`` as `open_image` takes it."""
        images = None if self.images is None else self.images[offset : offset + 1]
        return next(SalvagedRows(self.table.slice(offset, 1), {}, images).cutouts())


@dataclass(frozen=True)
class Footer:
    """What the footer of a shard tells of it as a whole.

    Attributes
    ----------
    own
        Whether `ShardWriter` wrote it.
    """

    rows: int
    own: bool = False


ReadFooter = Callable[[str], Footer]


def check_range(shard: str, rows: int, start: int, stop: int) -> None:
    """Check that a shard has rows `start` to `stop` (exclusive).

    Raises
    ------
    InputError
        If not.
    """
    if not 0 <= start <= stop <= rows:
        raise InputError(
            f"{shard} has {rows} rows; expected rows {start} to {stop}: "
            "if it changed since the run was planned, start a new run"
        )


class Watched:
    """A stream that remembers whether the store failed, so that such a failure isn't taken for damage."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.failed = False

    def read(self, size: int = -1) -> bytes:
        """Read at most `size` bytes, or all that is left; a failure of the store is remembered."""
        try:
            return bytes(self._stream.read(size))
        except Exception:
            self.failed = True
            raise

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer with the next bytes, and return how many there were."""
        with memoryview(buffer).cast("B") as view:
            data = self.read(len(view))
            view[: len(data)] = data
        return len(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextlib.contextmanager
def opened(uri: str, what: str, damage: tuple[type[Exception], ...], **options: Any) -> Iterator[Watched]:
    """A file of any store; what goes wrong names it, and tells damage from a failing store.

    Parameters
    ----------
    what
        Names what the file must be, in a message.
    damage
        What is raised about bytes that are not.
    options
        Further arguments of fsspec's ``open``.

    Raises
    ------
    DamagedShard
        In the place of `damage`.
    StorageTrouble
        If the store failed.
    InputError
        If the file is gone, or may not be read.
    """
    fs, path = storage.filesystem(uri)
    watched = None
    try:
        with fs.open(path, "rb", **options) as stream:
            watched = Watched(stream)
            yield watched
    except FileNotFoundError as error:
        raise InputError(f"cannot read {uri}: it doesn't exist") from error
    except (InputError, StorageTrouble):
        raise
    except PermissionError as error:
        # An expired token is one, too, and passes: see `storage.is_passing`.
        kind = StorageTrouble if storage.is_passing(error) else InputError
        raise kind(f"cannot read {uri}: {storage.reason(error)}") from error
    except Exception as error:
        reason = storage.reason(error)
        if isinstance(error, MemoryError) and not isinstance(error, pa.ArrowException):
            raise
        if watched is None or watched.failed or not isinstance(error, damage):
            raise StorageTrouble(f"cannot read {uri}: {reason}") from error
        raise DamagedShard(
            f"{uri} is not sound {what} ({reason}); expected a shard of a cutout set"
        ) from error
