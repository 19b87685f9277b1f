"""Which tiles of a HiPS an object is cut from: the cell that it lies in, and those that its frame reaches."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa

from pipeline.cutting.hips import pixel_scale
from pipeline.cutting.index import cells_of_circle, healpix_cells
from pipeline.cutting.plan import (
    MOST_SIDE,
    Plan,
    frame_pixels,
    make_plan,
    side_of,
    tabulate,
    too_large,
    unusable,
)
from pipeline.cutting.positions import Positions
from pipeline.cutting.tiles import Tile
from pipeline.images.frame import FrameWidth

_MARGIN = 2
"""Pixels around a frame whose light is in it."""


def plan_on_tiles(positions: Positions, frame: FrameWidth, index: pa.Table) -> Plan:
    """Choose the tiles for every object, on images or on the cells of a HiPS.

    Raises
    ------
    InputError
        If nothing can be cut.
    """
    cells = [Tile.cell_of(name) for name in index["tile"].to_pylist()]
    numbers = {cell: row for row, cell in enumerate(cells) if cell is not None}
    if len(numbers) < len(index):
        return make_plan(positions, frame, index)
    (order,) = {order for order, _ in numbers}
    usable = np.asarray(index["problem"].is_null())
    width = int(index["width"].drop_null()[0].as_py())
    scale = pixel_scale(order, width)
    pixels = np.broadcast_to(frame_pixels(frame, positions.sizes, scale), positions.ra.shape)
    sides = side_of(np.minimum(pixels, 1e9))
    own = healpix_cells(positions.ra, positions.dec, order)
    chosen: list[tuple[int, int, list[int]]] = []
    refusals: dict[int, tuple[str, str]] = {}
    for item, (ra, dec, side, cell) in enumerate(zip(positions.ra, positions.dec, sides, own, strict=True)):
        if pixels[item] > MOST_SIDE:
            refusals[item] = too_large(float(pixels[item]))
            continue
        reach = (side / math.sqrt(2) + _MARGIN) * scale / 3600
        around = [cell, *cells_of_circle(float(ra), float(dec), reach, order).tolist()]
        rows = list(dict.fromkeys(numbers[order, near] for near in around if (order, near) in numbers))
        sound = [row for row in rows if usable[row]]
        if sound:
            chosen.append((item, sound[0], sound[1:]))
        elif rows:
            refusals[item] = unusable(index, rows[0])
    items = np.array([item for item, _, _ in chosen], np.int64)
    middle = (sides[items].astype(np.float64) - 1) / 2
    tile = np.array([row for _, row, _ in chosen], np.int32)
    neighbours = [rows for _, _, rows in chosen]
    return tabulate(positions, index, items, pixels[items], middle, middle, tile, neighbours, refusals)
