"""Regions of the sky: a cone, a box, or a list of HEALPix pixels; right ascension wraps at 360°."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

_DEEPEST_ORDER = 29

Degrees = NDArray[np.float64]


@dataclass(frozen=True)
class Cone:
    """A circle on the sky: all within `radius` of a point, its edge included; in degrees."""

    ra: float
    dec: float
    radius: float

    def contains(self, ra: Degrees, dec: Degrees) -> NDArray[np.bool_]:
        """Whether each position, in degrees, lies within."""
        return separations(self.ra, self.dec, ra, dec) <= self.radius


@dataclass(frozen=True)
class Box:
    """A box on the sky: between two right ascensions, eastward from `west`, and two declinations.

    All are in degrees; the edges belong to the box.
    """

    west: float
    east: float
    south: float
    north: float

    def contains(self, ra: Degrees, dec: Degrees) -> NDArray[np.bool_]:
        """Whether each position, in degrees, lies within."""
        width = 360.0 if self.east - self.west >= 360 else (self.east - self.west) % 360
        inside: NDArray[np.bool_] = (
            ((ra - self.west) % 360 <= width) & (self.south <= dec) & (dec <= self.north)
        )
        return inside


@dataclass(frozen=True)
class Pixels:
    """HEALPix pixels of one order, in the nested scheme."""

    order: int
    pixels: tuple[int, ...]

    def contains(self, ra: Degrees, dec: Degrees) -> NDArray[np.bool_]:
        """Whether each position, in degrees, lies within."""
        return np.isin(healpix_pixels(ra, dec, self.order), self.pixels)


Region = Cone | Box | Pixels


def parse_cone(text: str) -> Cone:
    """A cone from ``RA,DEC,RADIUS`` in degrees.

    Raises
    ------
    ValueError
        If it is no cone on the sky.
    """
    ra, dec, radius = _numbers(text, 3, "RA,DEC,RADIUS in degrees, such as 150.1,2.2,0.5")
    _check(-180 <= ra <= 360, f"right ascension {ra:g}", "-180 to 360 degrees")
    _check(-90 <= dec <= 90, f"declination {dec:g}", "-90 to 90 degrees")
    _check(0 < radius <= 180, f"radius {radius:g}", "more than 0 and at most 180 degrees")
    return Cone(ra, dec, radius)


def parse_point(text: str) -> tuple[float, float]:
    """A right ascension and a declination from ``RA,DEC`` in degrees.

    Raises
    ------
    ValueError
        If it is no point on the sky.
    """
    ra, dec = _numbers(text, 2, "RA,DEC in degrees, such as 150.1,2.2")
    _check(-180 <= ra <= 360, f"right ascension {ra:g}", "-180 to 360 degrees")
    _check(-90 <= dec <= 90, f"declination {dec:g}", "-90 to 90 degrees")
    return ra, dec


def parse_box(text: str) -> Box:
    """A box from ``RA1,RA2,DEC1,DEC2`` in degrees; it spans 0° where ``RA1`` is the greater.

    Raises
    ------
    ValueError
        If it is no box on the sky.
    """
    west, east, south, north = _numbers(text, 4, "RA1,RA2,DEC1,DEC2 in degrees, such as 350,10,-1,1")
    for ra in (west, east):
        _check(-180 <= ra <= 360, f"right ascension {ra:g}", "-180 to 360 degrees")
    _check(west != east, f"a box from right ascension {west:g} to itself", "two that differ")
    _check(
        -90 <= south < north <= 90, f"declinations {south:g},{north:g}", "-90 to 90 degrees, the lesser first"
    )
    return Box(west, east, south, north)


def parse_pixels(text: str) -> Pixels:
    """HEALPix pixels from ``ORDER/N,N,N-M``, in the nested scheme.

    Raises
    ------
    ValueError
        If it has another form, or the order has no such pixel.
    """
    match = re.fullmatch(r"(\d{1,2})/(\d+(?:-\d+)?(?:,\d+(?:-\d+)?)*)", "".join(text.split()))
    if match is None or int(match[1]) > _DEEPEST_ORDER:
        raise ValueError(
            "expected ORDER/PIXEL,PIXEL-PIXEL,… (nested), order 0 to 29, such as 5/1203,1210-1213"
        )
    order = int(match[1])
    last = 12 * 4**order - 1
    pixels: set[int] = set()
    for word in match[2].split(","):
        low, _, high = word.partition("-")
        first, end = int(low), int(high or low)
        _check(first <= end <= last, f"pixel {word} of order {order}", f"0 to {last}, the lesser first")
        _check(end - first + len(pixels) < 1_000_000, f"{word} of order {order}", "at most a million pixels")
        pixels |= set(range(first, end + 1))
    return Pixels(order, tuple(sorted(pixels)))


def separations(ra: float, dec: float, ras: Degrees, decs: Degrees) -> Degrees:
    """How far each position lies from a point on the sky, all in degrees."""
    from astropy.coordinates import angular_separation

    point = np.radians([ra, dec])
    apart: Degrees = np.degrees(angular_separation(*point, np.radians(ras), np.radians(decs)))
    return apart


def healpix_pixels(ra: Degrees, dec: Degrees, order: int) -> NDArray[np.int64]:
    """Nested HEALPix pixel of an order in which each position, in degrees, lies."""
    import cdshealpix
    from astropy.coordinates import Latitude, Longitude

    lon, lat = Longitude(ra, unit="deg"), Latitude(dec, unit="deg")
    pixels: NDArray[np.int64] = cdshealpix.lonlat_to_healpix(lon, lat, order).astype(np.int64)
    return pixels


def tiles_within(region: Region, order: int) -> set[int] | None:
    """Nested HEALPix pixels of an order that a cone touches; None for other regions: it may be any."""
    if not isinstance(region, Cone):
        return None
    import cdshealpix
    from astropy.coordinates import Angle, Latitude, Longitude

    place = Longitude(region.ra, unit="deg"), Latitude(region.dec, unit="deg")
    pixels, _, _ = cdshealpix.cone_search(*place, Angle(region.radius, unit="deg"), order, flat=True)
    return set(map(int, pixels))


def positions(batch: pa.Table | pa.RecordBatch) -> tuple[Degrees, Degrees, NDArray[np.bool_]]:
    """The positions of rows: right ascensions and declinations in degrees, and which rows have both.

    A row without a position has NaN, nothing, or a value off the sky for one of the two.
    """
    ra, dec = (
        np.asarray(batch.column(name).cast(pa.float64()).to_numpy(zero_copy_only=False))
        for name in ("ra", "dec")
    )
    return ra, dec, np.isfinite(ra) & (np.abs(dec) <= 90)


def inside(rows: pa.Table | pa.RecordBatch, region: Region) -> NDArray[np.bool_]:
    """Whether each row has a position, and this lies in a region."""
    ra, dec, placed = positions(rows)
    within = np.zeros(len(rows), bool)
    within[placed] = region.contains(ra[placed], dec[placed])
    return within


def _numbers(text: str, count: int, form: str) -> list[float]:
    try:
        numbers = [float(word) for word in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != count or not all(map(math.isfinite, numbers)):
        raise ValueError(f"expected {form}")
    return numbers


def _check(holds: bool, what: str, expected: str) -> None:
    if not holds:
        raise ValueError(f"{what}; expected {expected}")
