"""Which tile each object is cut from: the one that holds its frame best."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from pipeline import storage
from pipeline.cutouts.reading import opened
from pipeline.cutouts.writer import SHARD_ROWS
from pipeline.cutting.grid import Grid
from pipeline.cutting.index import cells_of_circle, grids, healpix_cells
from pipeline.cutting.positions import MISS_SCHEMA, Positions
from pipeline.errors import InputError
from pipeline.images import MIN_SIDE
from pipeline.images.frame import FrameWidth

MOST_SIDE = 4096
"""Frames of more pixels than this a side are no galaxy's."""

PLAN_SCHEMA = pa.schema(
    [
        ("row", pa.int64()),
        ("object_id", pa.string()),
        ("ra", pa.float64()),
        ("dec", pa.float64()),
        pa.field("frame_pixels", pa.float64(), metadata={"description": "In pixels of the tile"}),
        pa.field("center_x", pa.float64(), metadata={"description": "Column in the picture"}),
        pa.field("center_y", pa.float64(), metadata={"description": "Row in the picture"}),
        pa.field("tile", pa.int32(), metadata={"description": "Row of the index"}),
        pa.field(
            "neighbours",
            pa.list_(pa.int32()),
            metadata={"description": "Tiles that hold other parts of the frame, where none holds it all"},
        ),
    ]
)

_LEAST_UNITS, _LEAST_ROWS = 8, 64
_DEEPEST = 14


@dataclass(frozen=True)
class Plan:
    """What is cut from where.

    Attributes
    ----------
    objects
        With `PLAN_SCHEMA`, those of one tile together, and tiles in the order of the index.
    units
        Number of rows of each unit of work, in order.
    misses
        Objects that no tile holds, with `MISS_SCHEMA`.
    """

    objects: pa.Table
    units: list[int]
    misses: pa.Table


@dataclass(frozen=True)
class _Pairs:
    """Objects and tiles that hold a part of their frames; each array has the same length.

    `margin` is the least distance from the frame to the tile's border, in pixels, negative where it sticks
    out; `pixels` is the frame's width in the tile's pixels, and `x, y` are the object's column and row in the
    picture.
    """

    item: NDArray[np.int64]
    tile: NDArray[np.int32]
    margin: NDArray[np.float32]
    pixels: NDArray[np.float64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    usable: NDArray[np.bool_]


_KINDS = {
    "item": np.int64,
    "tile": np.int32,
    "margin": np.float32,
    "pixels": np.float64,
    "x": np.float64,
    "y": np.float64,
    "usable": np.bool_,
}


def side_of(pixels: NDArray[np.float64]) -> NDArray[np.int64]:
    """Whole pixels a side of the picture that holds a frame, but for a thousandth of a pixel."""
    return np.maximum(np.ceil(pixels - 1e-3), MIN_SIDE).astype(np.int64)


def corner_of(center: NDArray[np.float64], side: NDArray[np.int64]) -> NDArray[np.int64]:
    """First column, or row, of pictures with a centre, as astropy's ``Cutout2D`` has it."""
    return np.ceil(center - side / 2).astype(np.int64)


def make_plan(positions: Positions, frame: FrameWidth, index: pa.Table) -> Plan:
    """Choose a tile for every object.

    The tile is the one whose border is farthest from the frame, of several alike the first of the index. If
    even there the frame sticks out, all others that hold a part of it are its neighbours.

    Raises
    ------
    InputError
        If nothing can be cut.
    """
    pairs = _pairs(positions, frame, index)
    order = np.lexsort((pairs.tile, -pairs.margin, ~pairs.usable, pairs.item))
    item, tile, margin = pairs.item[order], pairs.tile[order], pairs.margin[order]
    pixels, usable = pairs.pixels[order], pairs.usable[order]
    first = np.flatnonzero(np.r_[True, item[1:] != item[:-1]]) if len(item) else np.zeros(0, np.int64)
    last = np.r_[first[1:], len(item)]
    sound = usable[first] & (pixels[first] <= MOST_SIDE)
    chosen, ends = first[sound], last[sound]
    neighbours = [
        []
        if margin[start] >= 0
        else [int(t) for t, ok in zip(tile[start + 1 : end], usable[start + 1 : end], strict=True) if ok]
        for start, end in zip(chosen, ends, strict=True)
    ]
    refusals = {
        int(item[first[i]]): (
            too_large(float(pixels[first[i]])) if usable[first[i]] else unusable(index, int(tile[first[i]]))
        )
        for i in np.flatnonzero(~sound)
    }
    x, y = pairs.x[order][chosen], pairs.y[order][chosen]
    return tabulate(positions, index, item[chosen], pixels[chosen], x, y, tile[chosen], neighbours, refusals)


def tabulate(
    positions: Positions,
    index: pa.Table,
    items: NDArray[np.int64],
    pixels: NDArray[np.float64],
    x: NDArray[np.float64],
    y: NDArray[np.float64],
    tile: NDArray[np.int32],
    neighbours: Sequence[Sequence[int]],
    refusals: Mapping[int, tuple[str, str]],
) -> Plan:
    """The plan of objects for which tiles were chosen; the others are misses.

    Parameters
    ----------
    items
        Which positions they are.
    pixels, x, y, tile, neighbours
        What `PLAN_SCHEMA` has of each.
    refusals
        Reason and message of others, by their positions; those that no tile holds have none.

    Raises
    ------
    InputError
        If there are none.
    """
    objects = pa.table(
        [
            positions.rows[items],
            positions.ids.take(pa.array(items)),
            positions.ra[items],
            positions.dec[items],
            pixels,
            x,
            y,
            tile,
            pa.array(neighbours, pa.list_(pa.int32())),
        ],
        schema=PLAN_SCHEMA,
    ).sort_by([("tile", "ascending"), ("row", "ascending")])
    missing = np.setdiff1d(np.arange(len(positions.ra)), items)
    outside = ("outside", "no tile holds any part of its frame")
    causes = [refusals.get(int(i), outside) for i in missing]
    misses = pa.table(
        [
            positions.rows[missing],
            positions.ids.take(pa.array(missing)),
            positions.ra[missing],
            positions.dec[missing],
            pa.array([reason for reason, _ in causes], pa.string()),
            pa.array([message for _, message in causes], pa.string()),
        ],
        schema=MISS_SCHEMA,
    )
    if not len(objects):
        raise _nothing(positions, index, misses)
    return Plan(objects, _units(objects["tile"].to_numpy()), misses)


def _nothing(positions: Positions, index: pa.Table, misses: pa.Table) -> InputError:
    reasons = Counter(misses["reason"].to_pylist())
    counts = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
    ra, dec = index["ra"].drop_null(), index["dec"].drop_null()
    return InputError(
        f"none of the {len(positions.ra)} positions can be cut from these tiles ({counts}); the first is "
        f"{positions.ra[0]:.5f}, {positions.dec[0]:+.5f}, and a tile lies at {ra[0]}, {dec[0]}: are both "
        "in degrees (ICRS)?"
    )


def too_large(pixels: float) -> tuple[str, str]:
    """Why an object isn't cut out whose frame is so wide."""
    return "too_large", f"its frame is {pixels:.0f} pixels wide; at most {MOST_SIDE} make a picture"


def unusable(index: pa.Table, tile: int) -> tuple[str, str]:
    """Why an object isn't cut out of a tile of the index."""
    return index["problem"][tile].as_py(), f"the tiles that hold it can't be used: {index['message'][tile]}"


def _pairs(positions: Positions, frame: FrameWidth, index: pa.Table) -> _Pairs:
    radii = index["radius"].drop_null().to_numpy()
    typical = float(np.median(radii)) if len(radii) else 1.0
    order = int(np.clip(math.floor(math.log2(58.6 / max(typical, 1e-3))), 0, _DEEPEST))
    cells = healpix_cells(positions.ra, positions.dec, order)
    by_cell = np.argsort(cells, kind="stable")
    cells = cells[by_cell]
    pairs: list[_Pairs] = []
    for tile, grid, ra, dec, radius, usable in grids(index):
        pixels = frame_pixels(frame, positions.sizes, grid.scale)
        widest = float(np.minimum(np.max(pixels), MOST_SIDE)) * grid.scale / 3600
        own = cells_of_circle(ra, dec, radius + widest, order)
        starts, ends = np.searchsorted(cells, own), np.searchsorted(cells, own, side="right")
        near = np.concatenate(
            [np.zeros(0, np.int64), *(by_cell[s:e] for s, e in zip(starts, ends, strict=True) if s < e)]
        )
        if len(near):
            some = pixels if pixels.size == 1 else pixels[near]
            pairs.append(_overlapping(positions, near, np.broadcast_to(some, near.shape), grid, tile, usable))
    return _Pairs(
        *(
            np.concatenate([np.zeros(0, kind), *(getattr(part, name) for part in pairs)])
            for name, kind in _KINDS.items()
        )
    )


def frame_pixels(frame: FrameWidth, sizes: NDArray[np.float64] | None, scale: float) -> NDArray[np.float64]:
    """Widths of frames in pixels of `scale` arcseconds, as `FrameWidth.pixels` has them.

    Returns
    -------
    ndarray, shape (n,) or (1,), float64
        One where all are alike.
    """
    if frame.arcsec is not None:
        return np.array([frame.arcsec / scale])
    assert sizes is not None
    return frame.factor * sizes / (scale if frame.needs_scale else 1.0)


def _overlapping(
    positions: Positions,
    near: NDArray[np.int64],
    pixels: NDArray[np.float64],
    grid: Grid,
    tile: int,
    usable: bool,
) -> _Pairs:
    """Those of some objects of whose frames a tile holds a part."""
    x, y = grid.to_pixels(positions.ra[near], positions.dec[near])
    finite = np.isfinite(x) & np.isfinite(y) & (np.abs(x) < 1e9) & (np.abs(y) < 1e9)
    near, pixels, x, y = near[finite], pixels[finite], x[finite], y[finite]
    side = side_of(np.minimum(pixels, 1e9))
    left, bottom = corner_of(x, side), corner_of(y, side)
    margin = np.min([left, bottom, grid.width - left - side, grid.height - bottom - side], axis=0)
    part = (left < grid.width) & (bottom < grid.height) & (left + side > 0) & (bottom + side > 0)
    count = int(part.sum())
    return _Pairs(
        near[part],
        np.full(count, tile, np.int32),
        margin[part].astype(np.float32),
        pixels[part],
        (x - left)[part],
        (y - bottom)[part],
        np.full(count, usable),
    )


def _units(tiles: NDArray[np.int32]) -> list[int]:
    """Rows of each unit of work: whole tiles, until there are enough for a shard."""
    enough = int(np.clip(len(tiles) // _LEAST_UNITS, _LEAST_ROWS, SHARD_ROWS))
    if not len(tiles):
        return []
    units, start = [], 0
    for end in (np.flatnonzero(np.r_[tiles[1:] != tiles[:-1], True]) + 1).tolist():
        if end - start >= enough or end == len(tiles):
            units.append(end - start)
            start = end
    return units


def write_plan(uri: str, plan: Plan) -> None:
    """Keep a plan's objects, a row group for each unit."""
    with storage.open_new(uri) as stream, pq.ParquetWriter(stream, PLAN_SCHEMA, compression="zstd") as writer:
        start = 0
        for rows in plan.units:
            writer.write_table(plan.objects.slice(start, rows), row_group_size=rows)
            start += rows


def read_unit(uri: str, unit: int) -> pa.Table:
    """The objects of one unit of a plan."""
    with (
        opened(uri, "Parquet", (pa.ArrowException, OSError, ValueError)) as stream,
        pq.ParquetFile(stream) as file,
    ):
        return file.read_row_group(unit)


def units_of(uri: str) -> list[int]:
    """Rows of each unit of a plan that is kept."""
    with (
        opened(uri, "Parquet", (pa.ArrowException, OSError, ValueError)) as stream,
        pq.ParquetFile(stream) as file,
    ):
        return [file.metadata.row_group(group).num_rows for group in range(file.metadata.num_row_groups)]
