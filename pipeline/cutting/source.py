"""Galaxies cut out of a survey's tiles while they are read: no cutout is written."""

from __future__ import annotations

import hashlib
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline import storage
from pipeline.cutouts.contents import contents_of
from pipeline.cutouts.reading import SalvagedRows, ShardInfo, check_range
from pipeline.cutouts.table import CUTOUT_SCHEMA, SIZE
from pipeline.cutting.cutting import cut_light
from pipeline.cutting.index import Spread
from pipeline.cutting.light import Light
from pipeline.cutting.settings import TileSurvey, stored_tiles
from pipeline.cutting.shards import TilePlan, TileShard, read_or_make_plan
from pipeline.cutting.tiles import Tile
from pipeline.errors import InputError
from pipeline.images import BandImages, ImageError
from pipeline.survey import SurveySettings

_PIECE_ROWS = 64
"""Galaxies of one tile that isolation reads at once."""

_PIECE_PIXELS = 1 << 23
"""Pixels of a band that are in memory at once, unless one frame has more."""

_FACTS = ("object_id", "ra", "dec", SIZE, "center_x", "center_y")


@dataclass
class TileSource:
    """Objects of a table of positions, on a survey's tiles (see `pipeline.survey.source.Source`).

    A shard is what lies in one part of the sky. The rows of the table that can't be cut out are a shard, too,
    so that every row is classified or has a reason why not.

    Attributes
    ----------
    survey
        A survey file with `tiles`, the table of positions, and a frame.
    folder
        Where a run keeps the plans of its shards; None to make them anew.
    cache
        Folder of an output that holds the index of tiles and the plans made so far; None for no cache.
    spread
        How all tiles' headers are read.
    """

    survey: SurveySettings
    folder: str | None = None
    cache: str | None = None
    spread: Spread = map
    _shards: dict[str, TileShard] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._tiles: TileSurvey = stored_tiles(self.survey)
        self._plan: TilePlan | None = None

    def list_shards(self, uri: str) -> list[ShardInfo]:
        """The shards of a folder of tiles."""
        self._plan = read_or_make_plan(uri, self._tiles, self.cache, self.spread)
        self._shards = {shard.uri: shard for shard in self._plan.shards(uri)}
        return [shard.info for shard in self._shards.values()]

    def describe(self, shard: str) -> storage.FileInfo:
        """Size and etag of a shard, by its tiles' files as they are now."""
        return self._shard(shard).info_now()

    def read_ids(self, shard: str) -> pa.ChunkedArray:
        """The object ids of a shard."""
        return self._shard(shard).table["object_id"]

    def group_ranges(self, shard: str, start: int, stop: int) -> list[tuple[int, int]]:
        """Rows [start, stop) in pieces of one tile each."""
        tiles = self._shard(shard).table["tile"].slice(start, stop - start).to_pylist()
        ranges, first = [], 0
        for end in range(1, len(tiles) + 1):
            if end == len(tiles) or tiles[end] != tiles[first] or end - first == _PIECE_ROWS:
                ranges.append((start + first, start + end))
                first = end
        return ranges

    def read_contents(self, shard: str, start: int, stop: int) -> pa.Table:
        """Ids and digests of rows [start, stop), which are cut out for it."""
        return contents_of(self.read_rows(shard, start, stop))

    def read_rows(self, shard: str, start: int, stop: int) -> SalvagedRows:
        """Cut rows [start, stop) out of their tiles.

        Raises
        ------
        StorageTrouble
            If the store fails.
        InputError
            If the shard hasn't these rows.
        """
        planned = self._shard(shard)
        check_range(shard, planned.rows, start, stop)
        rows = planned.table.slice(start, stop - start).to_pylist()
        problems = {n: (row["reason"], row["message"]) for n, row in enumerate(rows) if row["reason"]}
        images = _Images(rows, planned.tiles, self._tiles)
        facts = [{name: row[name] for name in _FACTS} for row in rows]
        schema = CUTOUT_SCHEMA
        if self._tiles.frame.column is not None:
            schema = schema.append(pa.field(SIZE, pa.float64()))
        return SalvagedRows(pa.Table.from_pylist(facts, schema=schema), problems, images)

    def open_image(self, image: Any, sky: bool) -> NDArray[np.uint8] | BandImages:
        """Fluxes of a galaxy.

        Raises
        ------
        ImageError
            If it couldn't be cut out.
        """
        if "reason" in image:
            raise ImageError(image["reason"], image["message"])
        grid, ra, dec = image["place"]
        axes = grid.axes_at(ra, dec) if sky else None
        return BandImages(image["flux"], pixel_scale=grid.scale, axes=axes)

    def save_index(self, folder: str, shards: Iterable[str] | None = None) -> None:
        """Write the plans of shards into a folder; by default of all that were listed, and the cache too."""
        if shards is None and self._plan is not None:
            self._plan.save()
        chosen = self._shards.values() if shards is None else [self._shard(shard) for shard in shards]
        for _ in storage.read_ahead(lambda shard: shard.save(_place(folder, shard.uri)), chosen):
            pass

    def _shard(self, shard: str) -> TileShard:
        if shard not in self._shards:
            if self.folder is not None:  # one at a time: the units of a shard come together
                self._shards = {shard: TileShard.load(_place(self.folder, shard))}
            else:
                self.list_shards(shard.rpartition("#")[0])
        if shard not in self._shards:
            raise InputError(
                f"{shard} is gone; expected it as the run was planned: start a new run"
            ) from FileNotFoundError(shard)
        return self._shards[shard]


class _Images(Sequence[dict[str, Any] | None]):
    """Fluxes of some rows, or why there are none; cut out when they come to be looked at, some at a time."""

    def __init__(
        self, rows: Sequence[Mapping[str, Any]], tiles: Mapping[str, Tile], survey: TileSurvey
    ) -> None:
        self._rows, self._tiles, self._survey = rows, tiles, survey
        pixels = np.cumsum([max(row["frame_pixels"] or 0, 1) ** 2 for row in rows])
        self._pieces = (pixels // _PIECE_PIXELS).astype(int).tolist()
        self._cut: dict[int, dict[str, Any]] = {}
        if rows:
            self._cut_around(0)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return [self[offset] for offset in range(*place.indices(len(self)))]
        if self._rows[place]["tile"] is None:
            return None
        if place not in self._cut:
            self._cut_around(place)
        return self._cut[place]

    def _cut_around(self, place: int) -> None:
        """Cut the piece that a row is in; what was cut before is let go."""
        first, last = (find(self._pieces, self._pieces[place]) for find in (bisect_left, bisect_right))
        offsets = {
            self._rows[offset]["row"]: offset
            for offset in range(first, last)
            if self._rows[offset]["tile"] is not None
        }
        self._cut = {}
        for result in cut_light([self._rows[n] for n in offsets.values()], self._tiles, self._survey):
            self._cut[offsets[result.item["row"]]] = (
                {"flux": result.flux, "place": (result.grid, result.item["ra"], result.item["dec"])}
                if isinstance(result, Light)
                else {"reason": result.reason, "message": result.message}
            )


def _place(folder: str, shard: str) -> str:
    return storage.join(folder, f"{hashlib.sha256(shard.encode()).hexdigest()[:16]}.parquet")
