"""What is to be cut out of tiles, in shards that a run reads: the objects of one part of the sky each."""

from __future__ import annotations

import hashlib
import io
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline import storage
from pipeline.cutouts.folder import fingerprint
from pipeline.cutouts.reading import ShardInfo
from pipeline.cutouts.table import SIZE
from pipeline.cutting.cells import plan_on_tiles
from pipeline.cutting.index import Spread, healpix_cells, index_tiles, write_index
from pipeline.cutting.listing import find_tiles, list_tile_files
from pipeline.cutting.positions import read_positions
from pipeline.cutting.settings import PositionColumns, TileSurvey
from pipeline.cutting.tiles import Tile
from pipeline.digest import digest
from pipeline.errors import InputError
from pipeline.storage import FileInfo

SHARD_SCHEMA = pa.schema(
    [
        ("row", pa.int64()),
        ("object_id", pa.string()),
        ("ra", pa.float64()),
        ("dec", pa.float64()),
        (SIZE, pa.float64()),
        ("frame_pixels", pa.float64()),
        ("center_x", pa.float64()),
        ("center_y", pa.float64()),
        pa.field("tile", pa.string(), metadata={"description": "Null where there is none, for a reason"}),
        ("neighbours", pa.list_(pa.string())),
        ("reason", pa.string()),
        ("message", pa.string()),
    ]
)
"""Rows of the table of positions, as `pipeline.cutting.plan` has them, but for tiles, which go by name."""

_MISSES = "misses"
"""The shard of those that can't be cut out."""

_TILES_ACROSS = 8
"""Tiles that lie about side by side in the part of the sky that is a shard."""

_BASE_CELL, _DEEPEST = 58.6, 14
"""Degrees that a HEALPix cell of order 0 measures, and the finest order that parts the sky."""


@dataclass(frozen=True)
class TileShard:
    """A shard: its objects, and the tiles that they are cut from.

    Attributes
    ----------
    uri
        The folder of tiles and the HEALPix cell: ``FOLDER#CELL``.
    table
        With `SHARD_SCHEMA`, the objects of a tile one after another.
    tiles
        By name.
    files
        The tiles' files as they were when it was planned.
    """

    uri: str
    table: pa.Table
    tiles: dict[str, Tile]
    files: tuple[FileInfo, ...]

    @property
    def rows(self) -> int:
        """Number of objects."""
        return len(self.table)

    @property
    def info(self) -> ShardInfo:
        """What there is to say of it as a whole; size and etag change with an object or a tile."""
        return ShardInfo(self.uri, _size(self.files), self._etag(self.files), self.rows)

    def info_now(self) -> FileInfo:
        """Size and etag by the tiles' files as they are now.

        Raises
        ------
        InputError
            If one is gone.
        """
        files = list(storage.read_ahead(storage.file_info, [file.uri for file in self.files]))
        return FileInfo(self.uri, _size(files), self._etag(files))

    def _etag(self, files: Sequence[FileInfo]) -> str:
        etag = hashlib.sha256(fingerprint(files).encode())
        for batch in self.table.drop_columns(["row"]).to_batches(max_chunksize=4096):
            etag.update(repr(batch.to_pylist()).encode())
        return etag.hexdigest()[:32]

    def save(self, uri: str) -> None:
        """Keep it in a file, if it isn't there yet."""
        about = {
            "uri": self.uri,
            "tiles": json.dumps([asdict(tile) for tile in self.tiles.values()]),
            "files": json.dumps([asdict(file) for file in self.files]),
        }
        sink = io.BytesIO()
        pq.write_table(self.table.replace_schema_metadata(about), sink, compression="zstd")
        storage.create(uri, sink.getvalue())

    @classmethod
    def load(cls, uri: str) -> TileShard:
        """Read what was kept.

        Raises
        ------
        InputError
            If it is something else.
        """
        data = storage.read_bytes(uri)
        try:
            table = pq.read_table(io.BytesIO(data))
            about = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
            tiles = [Tile(**tile) for tile in json.loads(about["tiles"])]
            files = tuple(FileInfo(**file) for file in json.loads(about["files"]))
            table = table.replace_schema_metadata(None)
            return cls(about["uri"], table, {tile.name: tile for tile in tiles}, files)
        except (pa.ArrowException, AttributeError, KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{uri} is not an index of this version: remove it and run the same command again"
            ) from error


def _size(files: Sequence[FileInfo]) -> int:
    return sum(file.size for file in files)


@dataclass(frozen=True)
class TilePlan:
    """All objects of a table, with the shards that they are in.

    Attributes
    ----------
    objects
        With `SHARD_SCHEMA` and the column ``shard``, those of a shard together.
    tiles
        By name.
    files
        All files of the tiles, by URI.
    unsaved
        Tables that were made now, by the URIs where `save` writes them.
    """

    objects: pa.Table
    tiles: Mapping[str, Tile]
    files: Mapping[str, FileInfo]
    unsaved: Mapping[str, pa.Table]

    def shards(self, uri: str) -> Iterator[TileShard]:
        """The shards of the folder of tiles, in order."""
        names = self.objects["shard"].to_pylist()
        ends = [n for n in range(1, len(names) + 1) if n == len(names) or names[n] != names[n - 1]]
        for start, end in zip([0, *ends], ends, strict=False):
            table = self.objects.slice(start, end - start).drop_columns(["shard"]).combine_chunks()
            tiles = {name: self.tiles[name] for name in _tiles_of(table)}
            used = sorted({file for tile in tiles.values() for file in tile.files})
            yield TileShard(
                f"{uri.rstrip('/')}#{names[start]}", table, tiles, tuple(self.files[file] for file in used)
            )

    def save(self) -> None:
        """Write the tables that were made now."""
        for uri, table in self.unsaved.items():
            write_index(uri, table)


def _tiles_of(table: pa.Table) -> list[str]:
    """Names of the tiles that objects are cut from, neighbours too."""
    of_neighbours = pc.list_flatten(table["neighbours"])
    return sorted({*table["tile"].drop_null().to_pylist(), *of_neighbours.to_pylist()})


def read_or_make_plan(uri: str, survey: TileSurvey, cache: str | None, spread: Spread) -> TilePlan:
    """The plan of a folder of tiles: from the cache, or made now.

    Parameters
    ----------
    survey
        Its survey file names the table of positions.
    cache
        Folder in which the index of tiles and the plan may be found; None for no cache.
    spread
        How tiles' headers are read.

    Raises
    ------
    InputError
        If the tiles or the positions can't be used, or no position lies on a tile.
    StorageTrouble
        If a store fails.
    """
    files = list_tile_files(uri, survey)
    tiles = find_tiles(uri, files, survey)
    table = str(survey.settings.table)
    inputs = fingerprint(files), survey.model_dump(mode="json")
    by_name, by_uri = {tile.name: tile for tile in tiles}, {file.uri: file for file in files}
    if cache is None:
        return TilePlan(_plan(table, survey, index_tiles(None, tiles, survey, spread)), by_name, by_uri, {})
    plan_digest = digest(*inputs, fingerprint([storage.file_info(table)]))[:12]
    index_place = storage.join(cache, f"tiles-{digest(*inputs)[:12]}.parquet")
    place = storage.join(cache, f"plan-{plan_digest}.parquet")
    if storage.exists(place):
        return TilePlan(_read(place), by_name, by_uri, {})
    if storage.exists(index_place):
        planned = _plan(table, survey, _read(index_place))
        return TilePlan(planned, by_name, by_uri, {place: planned})
    index = index_tiles(None, tiles, survey, spread)
    planned = _plan(table, survey, index)
    return TilePlan(planned, by_name, by_uri, {index_place: index, place: planned})


def _read(uri: str) -> pa.Table:
    return pq.read_table(pa.BufferReader(storage.read_bytes(uri)))


def _plan(table: str, survey: TileSurvey, index: pa.Table) -> pa.Table:
    columns = survey.settings.columns
    named = PositionColumns(object_id=columns.object_id, ra=columns.ra or "ra", dec=columns.dec or "dec")
    positions = read_positions(table, named, survey.frame.column)
    plan = plan_on_tiles(positions, survey.frame, index)
    objects = plan.objects
    cells = _cells(index)[objects["tile"].to_numpy()]
    names, neighbours = index["tile"].combine_chunks(), objects["neighbours"].combine_chunks()
    placed = {
        **{name: objects[name] for name in objects.column_names if name in SHARD_SCHEMA.names},
        "tile": names.take(objects["tile"].combine_chunks()),
        "neighbours": pa.ListArray.from_arrays(neighbours.offsets, names.take(neighbours.values)),
        "shard": pa.array(map(str, cells.tolist()), pa.string()),
    }
    if positions.sizes is not None:
        placed[SIZE] = pa.array(positions.sizes[np.searchsorted(positions.rows, objects["row"].to_numpy())])
    misses = pa.concat_tables([positions.misses, plan.misses]).sort_by("row")
    missed = {name: misses[name] for name in misses.column_names}
    missed["shard"] = pa.array([_MISSES] * len(misses), pa.string())
    by_cell = pa.array(np.argsort(cells, kind="stable"))  # within a cell as planned: tile by tile
    return pa.concat_tables([_filled(placed, len(objects)).take(by_cell), _filled(missed, len(misses))])


def _filled(columns: Mapping[str, pa.Array], rows: int) -> pa.Table:
    """A table with all columns, null where there is none of that name."""
    schema = SHARD_SCHEMA.append(pa.field("shard", pa.string()))
    return pa.table([columns.get(field.name, pa.nulls(rows, field.type)) for field in schema], schema=schema)


def _cells(index: pa.Table) -> NDArray[np.int64]:
    """The HEALPix cell of each tile; of those that lie nowhere, -1."""
    radius = index["radius"].to_numpy()
    placed = np.isfinite(radius)
    across = _TILES_ACROSS * math.sqrt(2) * max(float(np.median(radius[placed])), 1e-3)
    order = int(np.clip(math.log2(_BASE_CELL / across), 0, _DEEPEST))
    cells = np.full(len(index), -1, np.int64)
    ra, dec = (index[name].to_numpy()[placed] for name in ("ra", "dec"))
    cells[placed] = healpix_cells(ra, dec, order)
    return cells
