"""The pixel grid of an image on the sky."""

from __future__ import annotations

import functools
import warnings
from dataclasses import dataclass
from typing import Any

import astropy.units as u
import numpy as np
from astropy.coordinates import ICRS, SkyCoord
from astropy.io import fits
from astropy.wcs import WCS
from astropy.wcs.utils import proj_plane_pixel_area, wcs_to_celestial_frame
from numpy.typing import NDArray

from pipeline.images import ImageError
from pipeline.images.axes import SkyAxes

SAME_PIXEL = 0.01
"""Pixels by which two grids may be apart and still count as one."""

_PROBES = 5
"""Points a side at which two grids are compared."""

_KEPT_GRIDS = 256

_WCS_KEYS = (
    "NAXIS", "CTYPE", "CUNIT", "CRVAL", "CRPIX", "CDELT", "CD", "PC", "PV", "CROTA", "LONPOLE", "LATPOLE",
    "RADESYS", "RADECSYS", "EQUINOX", "WCSAXES", "A_", "B_", "AP_", "BP_",
)  # fmt: skip


@dataclass(frozen=True)
class Grid:
    """Where the pixels of an image lie on the sky; pixel (0, 0) is the centre of the first.

    Attributes
    ----------
    wcs
        The coordinate system, distortions included.
    width, height
        Of the image, in pixels.
    """

    wcs: WCS
    width: int
    height: int

    @functools.cached_property
    def scale(self) -> float:
        """Arcseconds a pixel: the root of a pixel's area."""
        return 3600 * float(np.sqrt(proj_plane_pixel_area(self.wcs)))

    @functools.cached_property
    def _frame(self) -> Any:
        return wcs_to_celestial_frame(self.wcs)

    def _in_order(self, first: Any, second: Any) -> tuple[Any, Any]:
        """Longitude and latitude in the order of the header's axes, and the other way round."""
        return (first, second) if self.wcs.wcs.lng < self.wcs.wcs.lat else (second, first)

    def to_pixels(
        self, ra: NDArray[np.float64], dec: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Columns and rows of positions (ICRS, degrees); NaN where the projection has none."""
        if not isinstance(self._frame, ICRS):
            sky = SkyCoord(ra * u.deg, dec * u.deg).transform_to(self._frame).spherical
            ra, dec = sky.lon.deg, sky.lat.deg
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            x, y = self.wcs.all_world2pix(*self._in_order(ra, dec), 0, quiet=True)
        return np.asarray(x, np.float64), np.asarray(y, np.float64)

    def to_sky(
        self, x: NDArray[np.float64], y: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Positions (ICRS, degrees) of columns and rows; NaN where the projection has none."""
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            lon, lat = self._in_order(*self.wcs.all_pix2world(x, y, 0))
        if isinstance(self._frame, ICRS):
            return np.asarray(lon, np.float64), np.asarray(lat, np.float64)
        sky = SkyCoord(lon * u.deg, lat * u.deg, frame=self._frame).icrs
        return np.asarray(sky.ra.deg), np.asarray(sky.dec.deg)

    def axes_at(self, ra: float, dec: float) -> SkyAxes | None:
        """How the sky lies in the image at a position."""
        x, y = self.to_pixels(np.array([ra]), np.array([dec]))
        return SkyAxes.at(float(x[0]), float(y[0]), self.to_sky)

    def circle(self) -> tuple[float, float, float]:
        """A circle on the sky that holds the image: ra and dec of its middle, and its radius, degrees.

        Raises
        ------
        ImageError
            With reason ``bad_wcs``, if the image has no place on the sky.
        """
        right, top = self.width - 0.5, self.height - 0.5
        xs, ys = np.meshgrid(np.linspace(-0.5, right, 9), np.linspace(-0.5, top, 9))
        ra, dec = self.to_sky(np.append(xs, (right - 0.5) / 2), np.append(ys, (top - 0.5) / 2))
        if not (np.isfinite(ra).all() and np.isfinite(dec).all()):
            raise ImageError("bad_wcs", "the coordinate system (WCS) has no place on the sky for every pixel")
        points = unit_vectors(ra, dec)
        radius = float(np.degrees(2 * np.arcsin(np.linalg.norm(points - points[-1], axis=1).max() / 2)))
        return float(ra[-1]) % 360, float(dec[-1]), 1.001 * radius + 3 * self.scale / 3600

    def shift_to(self, other: Grid, box: tuple[float, float, float, float]) -> tuple[int, int] | None:
        """Columns and rows to add to find the same pixels in another image; None if they aren't the same.

        Parameters
        ----------
        box
            Where the two are compared: left, right, bottom, top, in pixels of this image.
        """
        xs, ys = np.meshgrid(np.linspace(box[0], box[1], _PROBES), np.linspace(box[2], box[3], _PROBES))
        x, y = other.to_pixels(*self.to_sky(xs.ravel(), ys.ravel()))
        dx, dy = x - xs.ravel(), y - ys.ravel()
        if not (np.isfinite(dx).all() and np.isfinite(dy).all()):
            return None
        shift = round(float(dx.mean())), round(float(dy.mean()))
        apart = max(float(np.abs(dx - shift[0]).max()), float(np.abs(dy - shift[1]).max()))
        return shift if apart <= SAME_PIXEL else None


def unit_vectors(ra: NDArray[np.float64], dec: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points on the unit sphere, shape (n, 3)."""
    lon, lat = np.radians(ra), np.radians(dec)
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)


def grid_of(header: fits.Header, width: int, height: int) -> Grid:
    """The grid that a header tells.

    Raises
    ------
    ImageError
        With reason ``no_wcs`` or ``bad_wcs``.
    """
    if not any(key.startswith("CTYPE") for key in header):
        raise ImageError("no_wcs", "the header has no coordinate system (WCS): no CTYPE1, CTYPE2")
    return _grid_of_cards(wcs_cards(header), width, height)


@functools.lru_cache(maxsize=_KEPT_GRIDS)
def _grid_of_cards(cards: str, width: int, height: int) -> Grid:
    """The grid that cards tell; bands on the same pixels share it, and a tile that is opened again has it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            wcs = WCS(fits.Header.fromstring(cards), naxis=2)
            if not wcs.has_celestial:
                raise ImageError("no_wcs", "the header's coordinate system (WCS) is not one of the sky")
            grid = Grid(wcs, width, height)
            if not grid.scale > 0:
                raise ImageError("bad_wcs", "the coordinate system (WCS) has pixels without an area")
            return grid
    except ImageError:
        raise
    except Exception as error:
        text = " ".join(str(error).split())[:200]
        raise ImageError("bad_wcs", f"the coordinate system (WCS) can't be used: {text}") from error


def wcs_cards(header: fits.Header) -> str:
    """The part of a header that `grid_of` needs, as text of 80 characters a card."""
    cards = [card for card in header.cards if str(card.keyword).startswith(_WCS_KEYS)]
    return str(fits.Header(cards).tostring(endcard=False, padding=False))
