"""Parquet tables, plain or as partitions of a HATS catalogue: images as bytes, or fluxes by band."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline import storage
from pipeline.cutouts import shards
from pipeline.cutouts.contents import contents_of
from pipeline.cutouts.reading import Footer, ReadFooter, SalvagedRows, ShardInfo
from pipeline.cutouts.table import CUTOUTS, TableLayout
from pipeline.images import BandImages, ImageError, decode_image
from pipeline.survey.formats.multimodal import IMAGE_PARTS, read_bands
from pipeline.survey.formats.pictures import open_bytes
from pipeline.survey.settings import SurveySettings


@dataclass(frozen=True)
class ParquetSource:
    """A survey in Parquet tables, or a cutout shard set where there is no survey file (see `Source`)."""

    survey: SurveySettings | None = None

    @functools.cached_property
    def _layout(self) -> TableLayout:
        return CUTOUTS if self.survey is None else table_layout(self.survey)

    def list_shards(self, uri: str, read_footer: ReadFooter | None = None) -> list[ShardInfo]:
        """The Parquet files below a URI, in order; of each the footer is read, and no more."""
        return shards.list_shards(uri, self._layout, read_footer)

    def read_footer(self, shard: str) -> Footer:
        """What the footer of a file tells, once its columns are checked."""
        return shards.read_footer(shard, self._layout)

    def describe(self, shard: str) -> storage.FileInfo:
        """Size and etag of a file as it is now."""
        return storage.file_info(shard)

    def read_ids(self, shard: str) -> pa.ChunkedArray:
        """The object ids of a file; no other column is read."""
        return shards.read_ids(shard, self._layout)

    def group_ranges(self, shard: str, start: int, stop: int) -> list[tuple[int, int]]:
        """Rows [start, stop) cut where the file's row groups end."""
        return shards.group_ranges(shard, start, stop)

    def read_contents(self, shard: str, start: int, stop: int) -> pa.Table:
        """Ids and digests of rows [start, stop), which are read whole for it."""
        return contents_of(self.read_rows(shard, start, stop))

    def read_rows(self, shard: str, start: int, stop: int) -> SalvagedRows:
        """Read rows [start, stop); the row groups that hold them are fetched whole."""
        return shards.salvage_rows(shard, start, stop, self._layout)

    def open_image(self, image: Any, sky: bool) -> NDArray[np.uint8] | BandImages:
        """Pixels or fluxes of an image: the bytes of a picture or FITS file, or an Arrow value of bands."""
        if self.survey is None:
            return decode_image(image)
        if isinstance(image, pa.Scalar):
            if not image.is_valid:
                raise ImageError("empty", "the image is null")
            return read_bands(image, self.survey)
        return open_bytes([(None, image)], self.survey, sky)

    def save_index(self, folder: str, shards: Iterable[str] | None = None) -> None:
        """Write nothing: Parquet has an index of its own."""


def table_layout(survey: SurveySettings) -> TableLayout:
    """How the tables of a survey name their columns, by its survey file."""
    columns = survey.columns
    names = {"object_id": columns.object_id, "ra": columns.ra, "dec": columns.dec, "image": columns.image}
    parts = IMAGE_PARTS | {columns.flux} | ({str(survey.mask.name)} if survey.mask else set())
    return TableLayout(
        names={name: column for name, column in names.items() if column is not None},
        size=survey.frame.column if survey.frame else None,
        image_parts=tuple(sorted(parts)),
        advice="name the survey's own columns in the survey file (columns.object_id, columns.image, …)",
    )
