"""What every source of cutouts is to the stream: shards with row counts, their ids, and rows in ranges."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline import storage
from pipeline.errors import InputError, StorageTrouble
from pipeline.images import BandImages
from pipeline.survey.settings import SurveySettings

PIECE_ROWS = 16
"""Rows that isolation reads at once where a shard has no row groups of its own."""


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
        """One of them."""
        images = None if self.images is None else self.images[offset : offset + 1]
        return next(SalvagedRows(self.table.slice(offset, 1), {}, images).cutouts())


@dataclass(frozen=True)
class Footer:
    """What a file tells of itself as a whole.

    Attributes
    ----------
    own
        Whether `ShardWriter` wrote it.
    """

    rows: int
    own: bool = False


ReadFooter = Callable[[str], Footer]


class Inventory(Protocol):
    """What a survey holds, without its images: all that a run's driver asks.

    A shard is known by its URI alone, so that what plans a run and what reads its units share nothing else.
    """

    @property
    def survey(self) -> SurveySettings | None:
        """The survey file; None for a cutout shard set."""

    def list_shards(self, uri: str) -> list[ShardInfo]:
        """The shards below a URI, in order.

        Raises
        ------
        InputError
            If there are none, or one isn't what the survey file says.
        """

    def describe(self, shard: str) -> storage.FileInfo:
        """Size and etag of a shard as it is now.

        Raises
        ------
        InputError
            If it is gone.
        """

    def read_ids(self, shard: str) -> pa.ChunkedArray:
        """The object ids of a shard, as strings, null where one can't be read; no image is fetched."""

    def group_ranges(self, shard: str, start: int, stop: int) -> list[tuple[int, int]]:
        """Rows [start, stop) cut into what is best read at once."""

    def read_contents(self, shard: str, start: int, stop: int) -> pa.Table:
        """Ids and digests of rows [start, stop); see `pipeline.survey.contents`.

        Raises
        ------
        StorageTrouble, InputError
            See `Source.read_rows`.
        """

    def save_index(self, folder: str, shards: Iterable[str] | None = None) -> None:
        """Write what finds rows in shards, for other processes; most need nothing.

        Parameters
        ----------
        shards
            URIs of some; by default all that were listed.
        """


class Source(Inventory, Protocol):
    """Where cutouts come from; one class a format, each for a whole survey and any of its shards."""

    def read_rows(self, shard: str, start: int, stop: int) -> SalvagedRows:
        """Rows [start, stop) of a shard, and no more than these are fetched.

        Raises
        ------
        StorageTrouble
            If the store fails: that is no fault of the rows.
        InputError
            If the shard is gone or hasn't these rows.
        """

    def open_image(self, image: Any, sky: bool) -> NDArray[np.uint8] | BandImages:
        """What `read_rows` gave as an image → pixels, or fluxes by band.

        Parameters
        ----------
        sky
            Whether the position or the pixel scale is needed.

        Raises
        ------
        ImageError
            If it can't be used.
        """


@runtime_checkable
class FileSource(Source, Protocol):
    """A source whose shards are files that a C library opens, such as HDF5 or Parquet.

    A damaged one may kill the process that asks for as much as its number of rows.
    """

    def list_shards(self, uri: str, read_footer: ReadFooter | None = None) -> list[ShardInfo]:
        """See `Inventory.list_shards`.

        Parameters
        ----------
        read_footer
            In the place of the source's own, which opens the file in this process.
        """

    def read_footer(self, shard: str) -> Footer:
        """What one file tells of itself.

        Raises
        ------
        InputError
            If it isn't what the survey file says.
        """


def pieces(start: int, stop: int) -> list[tuple[int, int]]:
    """Rows [start, stop) in pieces of at most `PIECE_ROWS`."""
    return [(first, min(first + PIECE_ROWS, stop)) for first in range(start, stop, PIECE_ROWS)]


def check_range(shard: str, rows: int, start: int, stop: int) -> None:
    """Check that a shard has some rows.

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


def check_identity(source: Inventory, shard: str, size: int, etag: str) -> None:
    """Check that a shard is still the one that was planned.

    Raises
    ------
    InputError
        If it isn't, or it is gone.
    """
    now = source.describe(shard)
    if (now.size, now.etag) != (size, etag):
        raise InputError(
            f"{shard} was rewritten since the run was planned: expected {size} bytes with etag {etag}, found "
            f"{now.size} with {now.etag}; take what is there now by `refresh`, or with new_run=true"
        )


class Watched:
    """A stream that remembers whether the store failed, so that such a failure isn't taken for damage."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.failed = False

    def read(self, size: int = -1) -> bytes:
        """As of any stream."""
        try:
            return bytes(self._stream.read(size))
        except Exception:
            self.failed = True
            raise

    def readinto(self, buffer: Any) -> int:
        """As of any stream."""
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
        Of fsspec's ``open``.

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
