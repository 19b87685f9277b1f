"""The index of a survey's tiles: where each lies on the sky, made once and kept."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import astropy.units as u
import cdshealpix.nested
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.coordinates import Latitude, Longitude
from astropy.io import fits
from numpy.typing import NDArray

from pipeline import storage
from pipeline.console import progress, say
from pipeline.cutouts.reading import opened
from pipeline.cutting.grid import Grid, grid_of, unit_vectors, wcs_cards
from pipeline.cutting.opening import read_grid
from pipeline.cutting.settings import TileSurvey
from pipeline.cutting.tiles import Tile
from pipeline.errors import InputError
from pipeline.images import ImageError

Spread = Callable[[Callable[[Any], str], Sequence[Any]], Iterator[str]]
"""Does something with each of many items, in any order: `map`, or `pipeline.streaming.cutting.spread`."""

_FILES = pa.list_(pa.struct([("band", pa.string()), ("uri", pa.string())]))

INDEX_SCHEMA = pa.schema(
    [
        ("tile", pa.string()),
        pa.field("ra", pa.float64(), metadata={"unit": "deg", "description": "Of the middle, ICRS"}),
        pa.field("dec", pa.float64(), metadata={"unit": "deg"}),
        pa.field(
            "radius", pa.float64(), metadata={"unit": "deg", "description": "Of a circle that holds it"}
        ),
        pa.field("width", pa.int64(), metadata={"unit": "pix"}),
        pa.field("height", pa.int64(), metadata={"unit": "pix"}),
        pa.field("header", pa.string(), metadata={"description": "FITS cards of the coordinate system"}),
        pa.field("problem", pa.string(), metadata={"description": "Why nothing can be cut from it"}),
        ("message", pa.string()),
        ("images", _FILES),
        ("masks", _FILES),
        ("variances", _FILES),
    ]
)
"""The index of tiles; one without a footprint has no position, and its problem says why."""

GROUP_TILES = 64
"""Tiles that are read of the index at once."""

_TILES_AT_ONCE = 32

_SORTING_ORDER = 12


def index_tiles(uri: str | None, tiles: Sequence[Tile], survey: TileSurvey, spread: Spread) -> pa.Table:
    """The index of tiles, from before or made now.

    Parameters
    ----------
    uri
        Where it is kept; None if it isn't.

    Raises
    ------
    InputError
        If no tile can be used.
    StorageTrouble
        If the store fails.
    """
    if uri is not None and storage.exists(uri):
        return pq.read_table(pa.BufferReader(storage.read_bytes(uri)))
    rows: list[dict[str, Any]] = []
    pieces = [tiles[first : first + _TILES_AT_ONCE] for first in range(0, len(tiles), _TILES_AT_ONCE)]
    with progress("Indexing", len(tiles), "tiles") as advance:
        for some in spread(lambda piece: json.dumps([footprint(tile, survey) for tile in piece]), pieces):
            footprints = json.loads(some)
            rows += footprints
            advance(len(footprints))
    index = make_index(rows)
    problems = index["problem"].drop_null()
    if len(problems) == len(index):
        first = index["message"].drop_null()[0]
        raise InputError(f"none of the {len(index)} tiles can be used; the first: {first}")
    if len(problems):
        counts = Counter(problems.to_pylist())
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(counts.items()))
        where = "" if uri is None else f"; see {uri}"
        say(f"{len(problems)} of {len(index)} tiles can't be used ({reasons}){where}")
    if uri is not None:
        write_index(uri, index)
    return index


def footprint(tile: Tile, survey: TileSurvey) -> dict[str, Any]:
    """A row of the index.

    Raises
    ------
    StorageTrouble
        If the store fails.
    """
    row: dict[str, Any] = dict.fromkeys(INDEX_SCHEMA.names) | {"tile": tile.name}
    for kind in ("images", "masks", "variances"):
        row[kind] = [{"band": band, "uri": uri} for band, uri in sorted(getattr(tile, kind).items())]
    try:
        row |= _place_of_cell(tile) if tile.cell is not None else _place(tile, survey)
        for kind, pattern in (
            ("images", survey.files),
            ("masks", survey.masks),
            ("variances", survey.variances),
        ):
            missing = [band for band in survey.bands if band not in getattr(tile, kind)]
            wanted = pattern is not None or (tile.cell is not None and kind == "images")
            if wanted and missing:
                raise ImageError("missing_band", f"tile {tile.name!r} has no {kind} of band {missing[0]!r}")
    except ImageError as error:
        row |= {"problem": error.reason, "message": error.message}
    return row


def _place(tile: Tile, survey: TileSurvey) -> dict[str, Any]:
    """Where a tile lies, by its header."""
    grid, header = read_grid(tile, survey)
    circle = dict(zip(("ra", "dec", "radius"), grid.circle(), strict=True))
    return circle | {"width": grid.width, "height": grid.height, "header": wcs_cards(header)}


def _place_of_cell(tile: Tile) -> dict[str, Any]:
    """Where a tile of a HiPS lies, by its name; there may be millions, and none is opened for it."""
    assert tile.cell is not None
    order, number = tile.cell
    cell = np.array([number], np.uint64)
    lon, lat = cdshealpix.nested.healpix_to_lonlat(cell, order)
    corners = unit_vectors(*(axis.deg.ravel() for axis in cdshealpix.nested.vertices(cell, order)))
    apart = np.linalg.norm(corners - unit_vectors(lon.deg, lat.deg), axis=1).max()
    radius = float(np.degrees(2 * np.arcsin(apart / 2)))
    place = {"ra": float(lon.deg[0]), "dec": float(lat.deg[0]), "radius": radius}
    return place | {"width": tile.width, "height": tile.width}


def make_index(rows: Iterable[dict[str, Any]]) -> pa.Table:
    """The index of footprints, neighbours on the sky near each other; the same whatever their order."""
    table = pa.Table.from_pylist(sorted(rows, key=lambda row: str(row["tile"])), schema=INDEX_SCHEMA)
    placed = np.asarray(table["ra"].is_valid())
    cells = np.full(len(table), 12 * 4**_SORTING_ORDER)
    ra, dec = (table[name].to_numpy()[placed] for name in ("ra", "dec"))
    cells[placed] = healpix_cells(ra, dec, _SORTING_ORDER)
    return table.take(pa.array(np.argsort(cells, kind="stable")))


def write_index(uri: str, table: pa.Table) -> None:
    """Keep an index."""
    with storage.open_new(uri) as stream:
        pq.write_table(table, stream, compression="zstd", row_group_size=GROUP_TILES)


def grids(table: pa.Table) -> Iterator[tuple[int, Grid, float, float, float, bool]]:
    """Of each tile with a footprint: its row, grid, the circle that holds it, and whether it can be used."""
    columns = ["ra", "dec", "radius", "width", "height", "header", "problem"]
    for first in range(0, len(table), GROUP_TILES):
        for offset, row in enumerate(table.slice(first, GROUP_TILES).select(columns).to_pylist()):
            if row["ra"] is not None:
                grid = grid_of(fits.Header.fromstring(row["header"]), row["width"], row["height"])
                yield first + offset, grid, row["ra"], row["dec"], row["radius"], row["problem"] is None


def read_tiles(uri: str, rows: Sequence[int]) -> dict[int, Tile]:
    """The files of some tiles of an index; no more of it is read than holds them."""
    tiles = {}
    with (
        opened(uri, "Parquet", (pa.ArrowException, OSError, ValueError)) as stream,
        pq.ParquetFile(stream) as file,
    ):
        for group in sorted({row // GROUP_TILES for row in rows}):
            read = file.read_row_group(group, columns=["tile", "images", "masks", "variances"]).to_pylist()
            for row in rows:
                if row // GROUP_TILES == group:
                    kept = read[row % GROUP_TILES]
                    files = {
                        kind: {file["band"]: file["uri"] for file in kept[kind]}
                        for kind in ("images", "masks", "variances")
                    }
                    tiles[row] = Tile(kept["tile"], files["images"], files["masks"], files["variances"])
    return tiles


def healpix_cells(ra: NDArray[np.float64], dec: NDArray[np.float64], order: int) -> NDArray[np.int64]:
    """HEALPix cells of positions in degrees, in the nested scheme."""
    lon, lat = Longitude(ra, unit="deg"), Latitude(dec, unit="deg")
    cells: NDArray[np.int64] = cdshealpix.lonlat_to_healpix(lon, lat, order).astype(np.int64)
    return cells


def cells_of_circle(ra: float, dec: float, radius: float, order: int) -> NDArray[np.int64]:
    """HEALPix cells, nested and sorted, that cover a circle; radius in degrees."""
    cells, _, _ = cdshealpix.cone_search(
        Longitude(ra, unit="deg"), Latitude(dec, unit="deg"), radius * u.deg, order, flat=True
    )
    return np.sort(cells.astype(np.int64))
