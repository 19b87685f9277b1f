"""What every source of cutouts is to the stream: shards with row counts, their ids, and rows in ranges."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline import storage
from pipeline.cutouts.contents import CONTENT_SCHEMA
from pipeline.cutouts.reading import Footer, ReadFooter, SalvagedRows, ShardInfo
from pipeline.cutouts.shards import read_field
from pipeline.digest import digest
from pipeline.errors import InputError
from pipeline.images import BandImages
from pipeline.survey.settings import SurveySettings

PIECE_ROWS = 16
"""Rows that isolation reads at once where a shard has no row groups of its own."""


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
        """Ids and digests of rows [start, stop); see `pipeline.cutouts.contents`.

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


class ImageOpener(Protocol):
    """What makes pixels or fluxes of a row's image."""

    @property
    def survey(self) -> SurveySettings | None:
        """The survey file; None where images are pictures."""

    def open_image(self, image: Any, sky: bool) -> NDArray[np.uint8] | BandImages:
        """An image as a row has it → pixels, or fluxes by band.

        Parameters
        ----------
        sky
            Whether the position or the pixel scale is needed.

        Raises
        ------
        ImageError
            If it can't be used.
        """


class Source(Inventory, ImageOpener, Protocol):
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
        """What the footer of one shard tells of it.

        Raises
        ------
        InputError
            If it isn't what the survey file says.
        """


def read_contents(source: Inventory, shard: str, rows: int) -> pa.Table:
    """Ids and digests of the rows of a shard, what is best read at once in memory at a time.

    Returns
    -------
    pyarrow.Table
        With `CONTENT_SCHEMA`; ``content`` is null where a row can't be read.

    Raises
    ------
    StorageTrouble, InputError
        See `Source.read_rows`.
    """
    pieces = [source.read_contents(shard, *bounds) for bounds in source.group_ranges(shard, 0, rows)]
    return pa.concat_tables([CONTENT_SCHEMA.empty_table(), *pieces])


def pieces(start: int, stop: int) -> list[tuple[int, int]]:
    """Rows [start, stop) in pieces of at most `PIECE_ROWS`."""
    return [(first, min(first + PIECE_ROWS, stop)) for first in range(start, stop, PIECE_ROWS)]


def fingerprint_of(source: Inventory) -> str:
    """What of the survey file decides how a picture is made, as a run's fingerprint holds it."""
    return "none" if source.survey is None else digest(source.survey.model_dump(mode="json"))


def field_of(source: Inventory, uri: str) -> bytes | None:
    """The picture that a cutout set was taken from; None if there is none, as of all surveys."""
    return read_field(uri) if source.survey is None else None


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
