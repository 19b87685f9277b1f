"""A HiPS (IVOA HiPS 1.0) as a survey's tiles: where its files are, and frames cut out of HEALPix pixels.

A HiPS keeps the sky as HEALPix cells, each a FITS image of 512 × 512 smaller cells. Rows and columns are
askew on the sky, so that every frame is resampled onto a tangent plane around its object, north up.
"""

from __future__ import annotations

import contextlib
import functools
import math
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import cdshealpix.nested
import numpy as np
from astropy.coordinates import Latitude, Longitude
from astropy.wcs import WCS
from numpy.typing import NDArray

from pipeline import storage
from pipeline.cutting.grid import Grid
from pipeline.cutting.light import Light, Miss
from pipeline.cutting.opening import open_plane
from pipeline.cutting.plan import side_of
from pipeline.cutting.settings import TileSurvey
from pipeline.cutting.tiles import Tile
from pipeline.errors import InputError
from pipeline.images import ImageError
from pipeline.storage import FileInfo

PROPERTIES = "properties"
"""The file by which a HiPS is known."""

_DEEPEST, _WIDTHS = 17, {str(1 << bits) for bits in range(5, 13)}
"""Orders and widths of tiles whose pixels have numbers in HEALPix."""

_OPEN_TILES = 24
"""Tiles of which a band's pixels are in memory at once, a megabyte each."""


def is_hips(uri: str) -> bool:
    """Whether a folder is a HiPS, or one for each band (``{band}`` in its name)."""
    return "{band}" in uri or storage.exists(storage.join(uri, PROPERTIES))


def list_hips_files(uri: str, survey: TileSurvey) -> list[FileInfo]:
    """The FITS files of a HiPS's deepest order, of all bands.

    Raises
    ------
    InputError
        If a band's HiPS isn't there, isn't of FITS tiles in ICRS, or is of another order than the first's.
    """
    if "{band}" not in uri and len(survey.bands) > 1:
        raise InputError(
            f"{uri} is a HiPS, which holds one band; the survey has {', '.join(survey.bands)}: put {{band}} "
            "where the HiPS of the bands have their names"
        )
    depths = {band: _depth_of(folder) for band, folder in _folders(uri, survey).items()}
    if len(set(depths.values())) > 1:
        told = ", ".join(f"{band} {order} of {width}" for band, (order, width) in depths.items())
        raise InputError(f"{uri} has different orders or widths of tiles ({told}); expected the same in all")
    files: list[FileInfo] = []
    for band, folder in _folders(uri, survey).items():
        order, _ = depths[band]
        of_band = storage.list_files(storage.join(folder, f"Norder{order}"), ".fits")
        if not of_band:
            raise InputError(f"{folder} has no FITS tiles of its order {order}, the deepest")
        files += of_band
    return files


def find_hips_tiles(uri: str, files: Sequence[FileInfo], survey: TileSurvey) -> list[Tile]:
    """The tiles of a HiPS, with the file of each band."""
    tiles: dict[tuple[int, int], Tile] = {}
    _, width = _depth_of(_folders(uri, survey)[survey.bands[0]])
    for band, folder in _folders(uri, survey).items():
        start = storage.absolute(folder).rstrip("/") + "/"
        for file in files:
            cell = Tile.cell_of(file.uri) if storage.absolute(file.uri).startswith(start) else None
            if cell is not None:
                tiles.setdefault(cell, Tile(Tile.name_of(*cell), width=width)).images[band] = file.uri
    return [tiles[cell] for cell in sorted(tiles)]


def _folders(uri: str, survey: TileSurvey) -> dict[str, str]:
    return {band: uri.replace("{band}", survey.names[band]) for band in survey.bands}


def _depth_of(folder: str) -> tuple[int, int]:
    """The deepest order of a HiPS, and the pixels a side of its tiles."""
    uri = storage.join(folder, PROPERTIES)
    lines = storage.read_bytes(uri).decode("utf-8", "replace").splitlines()
    pairs = (line.partition("=") for line in lines if not line.lstrip().startswith("#"))
    told = {key.strip(): value.strip() for key, _, value in pairs}
    for key, expected in (("hips_tile_format", "fits"), ("hips_frame", "equatorial")):
        if expected not in told.get(key, "").split():
            raise InputError(f"{uri} has {key} = {told.get(key, '')!r}; expected {expected}")
    order, width = told.get("hips_order", ""), told.get("hips_tile_width", "512")
    if not order.isdecimal() or int(order) > _DEEPEST:
        raise InputError(f"{uri} has hips_order = {order!r}; expected a whole number up to {_DEEPEST}")
    if width not in _WIDTHS:
        raise InputError(f"{uri} has hips_tile_width = {width!r}; expected a power of two, such as 512")
    return int(order), int(width)


def pixel_scale(order: int, width: int) -> float:
    """Arcseconds that a pixel of a tile measures: the root of its area."""
    return 3600 * math.degrees(math.sqrt(math.pi / 3) / (2**order * width))


def cut_hips(
    objects: Sequence[Mapping[str, Any]], tiles: Mapping[Any, Tile], survey: TileSurvey
) -> Iterator[Light | Miss]:
    """Fluxes of objects, bilinear between the centres of HEALPix pixels, their values as they are.

    See `pipeline.cutting.cutting.cut_light`.
    """
    read = functools.partial(_read, survey=survey, kept=OrderedDict())
    for item in objects:
        own = tiles[item["tile"]]
        try:
            width = read(own, survey.bands[0]).shape[0]
            yield _frame(item, [own, *(tiles[key] for key in item["neighbours"])], width, survey, read)
        except ImageError as error:
            yield Miss(item, error.reason, error.message)


def _frame(
    item: Mapping[str, Any], tiles: Sequence[Tile], width: int, survey: TileSurvey, read: Any
) -> Light | Miss:
    assert tiles[0].cell is not None
    order = tiles[0].cell[0]
    scale = pixel_scale(order, width)
    side = int(side_of(np.array([item["frame_pixels"]]))[0])
    rows, columns = (axis.ravel().astype(np.float64) for axis in np.mgrid[:side, :side])
    plane = tangent_plane(item["ra"], item["dec"], side, scale)
    ra, dec = plane.to_sky(columns, rows)
    depth = order + width.bit_length() - 1
    pixels, weights = cdshealpix.nested.bilinear_interpolation(
        Longitude(ra, unit="deg"), Latitude(dec, unit="deg"), depth
    )
    pixels, weights = np.ma.getdata(pixels).astype(np.int64), np.ma.getdata(weights)
    cells, within = np.divmod(pixels, width**2)
    row, column = (places[within] for places in _places(width))
    covered = np.isin(cells, [tile.cell[1] for tile in tiles if tile.cell is not None]) | (weights == 0)
    share, least = float(covered.all(axis=1).mean()), 1 - survey.settings.most_bad
    if share < least:
        return Miss(item, "outside", f"{share:.1%} of its frame lies on tiles; at least {least:.1%} must")
    flux = {}
    for band in survey.bands:
        values = np.full(pixels.shape, np.nan, np.float32)
        for tile in tiles:
            assert tile.cell is not None
            here = cells == tile.cell[1]
            if here.any():
                values[here] = read(tile, band)[row[here], column[here]]
        values[weights == 0] = 0
        flux[band] = np.asarray((values * weights).sum(axis=1), np.float32).reshape(side, side)
    middle = (side - 1) / 2
    return Light(item, flux, (middle, middle), plane, tiles[0].name, "resampled")


def tangent_plane(ra: float, dec: float, side: int, scale: float) -> Grid:
    """A square around a position, north up, with pixels of `scale` arcseconds."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval = [ra, dec]
    wcs.wcs.crpix = [(side + 1) / 2, (side + 1) / 2]
    wcs.wcs.cdelt = [-scale / 3600, scale / 3600]
    wcs.wcs.radesys = "ICRS"
    wcs.wcs.set()
    return Grid(wcs, side, side)


@functools.cache
def _places(width: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Row and column, in a FITS tile, of each HEALPix pixel of a cell by its number in the nested scheme.

    The bits of x (towards north-east) and y (towards north-west) are interleaved in it, x first. The first
    pixel of a FITS tile is the eastern corner: columns go with y, and rows against x.
    """
    number = np.arange(width**2)
    x, y = (
        sum(((number >> (2 * bit + shift)) & 1) << bit for bit in range(width.bit_length() - 1))
        for shift in (0, 1)
    )
    return np.asarray(width - 1 - x), np.asarray(y)


def _read(
    tile: Tile, band: str, survey: TileSurvey, kept: OrderedDict[tuple[str, str], NDArray[np.float32]]
) -> NDArray[np.float32]:
    """All pixels of a tile in a band; the last few stay in memory."""
    key = tile.name, band
    if key not in kept:
        with contextlib.ExitStack() as stack:
            plane = open_plane(tile, band, survey, stack)
            height, width = plane.shape
            if height != width or str(width) not in _WIDTHS:
                raise ImageError(
                    "bad_shape",
                    f"{tile.images[band]} has {width}×{height} pixels; expected a square of a power of two",
                )
            kept[key] = np.asarray(plane.read(0, height, 0, width), np.float32)
        if len(kept) > _OPEN_TILES:
            kept.popitem(last=False)
    kept.move_to_end(key)
    return kept[key]
