"""Objects of a survey's tiles → their pictures, and why there is none of some."""

from __future__ import annotations

import contextlib
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.cutting.grid import Grid
from pipeline.cutting.hips import cut_hips
from pipeline.cutting.light import Light, Miss
from pipeline.cutting.opening import BandTile
from pipeline.cutting.plan import corner_of, side_of
from pipeline.cutting.resampling import Pixels, resample
from pipeline.cutting.settings import TileSurvey
from pipeline.cutting.tiles import Tile
from pipeline.images import BandImages, ImageError, color_picture, stack_bands
from pipeline.images.encode import encode_png

FURTHER = (
    pa.field("tile", pa.string(), metadata={"description": "The tile on whose pixels the picture is"}),
    pa.field(
        "assembly",
        pa.string(),
        metadata={"description": "cropped, joined of tiles on the same pixels, or resampled in part"},
    ),
    pa.field("masked", pa.float32(), metadata={"description": "Share of pixels replaced, bad or absent"}),
)
"""Columns of a shard of such cutouts, beside those of every cutout table."""

_WINDOW_PIXELS = 1 << 25
"""Pixels of a band that are in memory at once, unless one frame has more."""

_COLOUR_PIXELS = 1 << 17
"""Pixels that are coloured at once, of one object or many."""

_OPEN_NEIGHBOURS = 8
"""As many as a tile has around it."""

_ZLIB_EFFORT = 1


@dataclass(frozen=True)
class _Stacked:
    """An object's fluxes, shape (side, side, bands) with bad pixels replaced, and what its row says else."""

    row: Mapping[str, Any]
    flux: NDArray[np.float32]


def cut(
    objects: Sequence[Mapping[str, Any]], tiles: Mapping[Any, Tile], survey: TileSurvey
) -> Iterator[dict[str, Any] | Miss]:
    """Rows of the cutout table, and what is missed; every object once, as one or the other.

    See `cut_light`.
    """
    waiting: list[_Stacked] = []
    for light in cut_light(objects, tiles, survey):
        result = light if isinstance(light, Miss) else _stacked(light, survey)
        if isinstance(result, Miss):
            yield result
            continue
        waiting.append(result)
        if sum(stacked.flux[..., 0].size for stacked in waiting) >= _COLOUR_PIXELS:
            yield from _coloured(waiting, survey)
            waiting = []
    yield from _coloured(waiting, survey)


def cut_light(
    objects: Sequence[Mapping[str, Any]], tiles: Mapping[Any, Tile], survey: TileSurvey
) -> Iterator[Light | Miss]:
    """Fluxes of objects, and what is missed; every object once, as one or the other.

    Parameters
    ----------
    objects
        Rows of a plan, those of one tile one after another.
    tiles
        All that the objects name, by what the objects call them.

    Raises
    ------
    StorageTrouble
        If the store fails.
    """
    if any(tile.cell is not None for tile in tiles.values()):
        yield from cut_hips(objects, tiles, survey)
        return
    with contextlib.ExitStack() as stack:
        neighbours = _Neighbours(tiles, survey, stack)
        for group in _by_tile(objects):
            yield from _cut_tile(group, tiles[group[0]["tile"]], survey, neighbours)


def _by_tile(objects: Sequence[Mapping[str, Any]]) -> Iterator[list[Mapping[str, Any]]]:
    group: list[Mapping[str, Any]] = []
    for item in objects:
        if group and item["tile"] != group[0]["tile"]:
            yield group
            group = []
        group.append(item)
    if group:
        yield group


@dataclass
class _OpenTile:
    """A tile's bands, the grid of the first, and how its pixels are found in the others'."""

    name: str
    bands: dict[str, Pixels]
    shifts: dict[str, tuple[int, int] | None]

    @property
    def grid(self) -> Grid:
        return next(iter(self.bands.values())).grid


def _open_tile(tile: Tile, survey: TileSurvey, stack: contextlib.ExitStack) -> _OpenTile:
    bands = {band: Pixels(BandTile(tile, band, survey, stack)) for band in survey.bands}
    opened = _OpenTile(tile.name, bands, {})
    grid = opened.grid
    whole = (0.0, grid.width - 1.0, 0.0, grid.height - 1.0)
    for band, pixels in bands.items():
        same = pixels.grid.wcs.wcs.compare(grid.wcs.wcs) and pixels.grid.wcs.sip is grid.wcs.sip is None
        opened.shifts[band] = (0, 0) if same else grid.shift_to(pixels.grid, whole)
    return opened


class _Neighbours:
    """Tiles that are open because they hold parts of other tiles' objects; the last few."""

    def __init__(self, tiles: Mapping[Any, Tile], survey: TileSurvey, stack: contextlib.ExitStack) -> None:
        self._tiles, self._survey = tiles, survey
        self._open: OrderedDict[Any, tuple[_OpenTile, contextlib.ExitStack]] = OrderedDict()
        stack.callback(self._close)

    def get(self, key: Any) -> _OpenTile:
        if key in self._open:
            self._open.move_to_end(key)
            return self._open[key][0]
        with contextlib.ExitStack() as opening:
            tile = _open_tile(self._tiles[key], self._survey, opening)
            self._open[key] = tile, opening.pop_all()
        if len(self._open) > _OPEN_NEIGHBOURS:
            self._open.popitem(last=False)[1][1].close()
        return tile

    def _close(self) -> None:
        for _, stack in self._open.values():
            stack.close()


@dataclass(frozen=True)
class _Square:
    """Where an object's picture lies on a tile's pixels."""

    item: Mapping[str, Any]
    x: float
    y: float
    left: int
    bottom: int
    side: int


def _cut_tile(
    group: Sequence[Mapping[str, Any]], tile: Tile, survey: TileSurvey, neighbours: _Neighbours
) -> Iterator[Light | Miss]:
    ahead = {item["row"]: item for item in group}
    try:
        with contextlib.ExitStack() as stack:
            own = _open_tile(tile, survey, stack)
            for window in _windows(_squares(group, own.grid), own.grid):
                _load(own, window)
                for square in window:
                    result = _cut_square(square, own, survey, neighbours)
                    del ahead[square.item["row"]]
                    yield result
    except ImageError as error:
        yield from (Miss(item, error.reason, error.message) for item in ahead.values())


def _squares(group: Sequence[Mapping[str, Any]], grid: Grid) -> list[_Square]:
    ra, dec, pixels = (
        np.array([item[name] for item in group], np.float64) for name in ("ra", "dec", "frame_pixels")
    )
    x, y = grid.to_pixels(ra, dec)
    side = side_of(pixels)
    places = zip(group, x, y, corner_of(x, side), corner_of(y, side), side, strict=True)
    squares = [
        _Square(item, float(x), float(y), int(column), int(row), int(n))
        for item, x, y, column, row, n in places
    ]
    return sorted(squares, key=lambda square: (square.bottom, square.item["row"]))


def _windows(squares: Iterable[_Square], grid: Grid) -> Iterator[list[_Square]]:
    """Squares whose rows are read in one piece: they touch, and are no more than memory should hold."""
    window: list[_Square] = []
    top = 0
    for square in squares:
        end = square.bottom + square.side
        if window and (
            square.bottom > top or (max(top, end) - window[0].bottom) * grid.width > _WINDOW_PIXELS
        ):
            yield window
            window = []
        top = max(top, end) if window else end
        window.append(square)
    if window:
        yield window


def _load(tile: _OpenTile, window: Sequence[_Square]) -> None:
    """Read what the squares take of each band on the same pixels; others are read square by square."""
    left = min(square.left for square in window)
    bottom = min(square.bottom for square in window)
    right = max(square.left + square.side for square in window)
    top = max(square.bottom + square.side for square in window)
    for band, pixels in tile.bands.items():
        shift = tile.shifts[band]
        if shift is not None:
            pixels.load(left + shift[0], bottom + shift[1], right + shift[0], top + shift[1])
            continue
        xs, ys = np.meshgrid(np.linspace(left, right, 5), np.linspace(bottom, top, 5))
        x, y = pixels.grid.to_pixels(*tile.grid.to_sky(xs.ravel(), ys.ravel()))
        if np.isfinite(x).all() and np.isfinite(y).all():
            pixels.load(int(x.min()) - 3, int(y.min()) - 3, int(x.max()) + 4, int(y.max()) + 4)


def _cut_square(square: _Square, own: _OpenTile, survey: TileSurvey, neighbours: _Neighbours) -> Light | Miss:
    flux, assembly = {}, "cropped"
    for band, pixels in own.bands.items():
        shift = own.shifts[band]
        if shift is None:
            flux[band] = resample(own.grid, pixels, square.left, square.bottom, square.side)
            assembly = "resampled"
        else:
            left, bottom = square.left + shift[0], square.bottom + shift[1]
            flux[band] = pixels.crop(left, bottom, square.side, square.side)
    covered = _inside(square, own.grid)
    trouble = None
    for number in square.item["neighbours"]:
        try:
            how = _fill(flux, covered, square, own.grid, neighbours.get(number))
        except ImageError as error:
            trouble = error
            continue
        assembly = how if how != "cropped" and assembly != "resampled" else assembly
    share = float(covered.mean())
    if 1 - share > survey.settings.most_bad:
        if trouble is not None:
            return Miss(square.item, trouble.reason, trouble.message)
        least = 1 - survey.settings.most_bad
        return Miss(
            square.item, "outside", f"{share:.1%} of its frame lies on tiles; at least {least:.1%} must"
        )
    center = square.x - square.left, square.y - square.bottom
    return Light(square.item, flux, center, own.grid, own.name, assembly)


def _stacked(light: Light, survey: TileSurvey) -> _Stacked | Miss:
    try:
        flux, replaced = stack_bands(BandImages(light.flux), survey.color.bands, survey.settings.most_bad)
    except ImageError as error:
        return Miss(light.item, error.reason, error.message)
    row = {
        **{name: light.item[name] for name in ("object_id", "ra", "dec", "frame_pixels")},
        "center_x": light.center[0],
        "center_y": light.center[1],
        "tile": light.tile,
        "assembly": light.assembly,
        "masked": replaced / flux.size,
    }
    return _Stacked(row, flux)


def _inside(square: _Square, grid: Grid) -> NDArray[np.bool_]:
    """Which pixels of a square an image has."""
    columns, rows = square.left + np.arange(square.side), square.bottom + np.arange(square.side)
    inside: NDArray[np.bool_] = ((rows >= 0) & (rows < grid.height))[:, None] & (
        (columns >= 0) & (columns < grid.width)
    )
    return inside


def _fill(
    flux: dict[str, NDArray[np.float32]],
    covered: NDArray[np.bool_],
    square: _Square,
    grid: Grid,
    other: _OpenTile,
) -> str:
    """Take from another tile what a square still lacks; how: cropped (nothing), joined, resampled."""
    if covered.all():
        return "cropped"
    left, bottom, side = square.left, square.bottom, square.side
    box = (left, left + side - 1.0, bottom, bottom + side - 1.0)
    how, lacking = "cropped", ~covered
    for number, (band, pixels) in enumerate(other.bands.items()):
        shift = grid.shift_to(pixels.grid, box)
        if shift is None:
            more = resample(grid, pixels, left, bottom, side)
            inside = lacking & np.isfinite(more)
        else:
            more = pixels.crop(left + shift[0], bottom + shift[1], side, side)
            moved = _Square(square.item, 0, 0, left + shift[0], bottom + shift[1], side)
            inside = lacking & _inside(moved, pixels.grid)
        flux[band][inside] = more[inside]
        if number == 0:
            covered |= inside
        if inside.any():
            how = "resampled" if shift is None or how == "resampled" else "joined"
    return how


def _coloured(waiting: Sequence[_Stacked], survey: TileSurvey) -> Iterator[dict[str, Any]]:
    """Rows with their pictures: colours are of each pixel by itself, so that many are made at once."""
    if not waiting:
        return
    together = np.concatenate([stacked.flux.reshape(-1, 3) for stacked in waiting])
    colours = color_picture(together[:, None], survey.color)[:, 0]
    start = 0
    for stacked in waiting:
        stop = start + stacked.flux[..., 0].size
        picture = colours[start:stop].reshape(stacked.flux.shape)
        yield {**stacked.row, "image": encode_png(picture, _ZLIB_EFFORT)}
        start = stop
