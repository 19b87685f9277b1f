"""Pixels of one image on the grid of another."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.cutting.grid import SAME_PIXEL, Grid
from pipeline.cutting.opening import BandTile

_PROBES = 5
"""Points a side from which the way between two grids is learnt."""


class Pixels:
    """A band's pixels, a part of them in memory.

    Attributes
    ----------
    grid
        Where they lie.
    """

    def __init__(self, band: BandTile) -> None:
        self.grid = band.grid
        self._band = band
        self._block: NDArray[np.float32] | None = None
        self._left = self._bottom = 0

    def load(self, left: int, bottom: int, right: int, top: int) -> None:
        """Read what of a box lies within the image, for the crops to come."""
        left, right = max(left, 0), min(right, self.grid.width)
        bottom, top = max(bottom, 0), min(top, self.grid.height)
        self._block = None
        if left < right and bottom < top:
            self._block = self._band.read(bottom, top, left, right)
            self._left, self._bottom = left, bottom

    def crop(self, left: int, bottom: int, width: int, height: int) -> NDArray[np.float32]:
        """A box of pixels, shape (height, width); NaN where they are bad, or there are none."""
        result = np.full((height, width), np.nan, np.float32)
        first, last = max(left, 0), min(left + width, self.grid.width)
        low, high = max(bottom, 0), min(bottom + height, self.grid.height)
        if first < last and low < high:
            result[low - bottom : high - bottom, first - left : last - left] = self._part(
                first, low, last, high
            )
        return result

    def _part(self, left: int, bottom: int, right: int, top: int) -> NDArray[np.float32]:
        if self._block is not None:
            x, y = left - self._left, bottom - self._bottom
            part = self._block[max(y, 0) : top - self._bottom, max(x, 0) : right - self._left]
            if x >= 0 and y >= 0 and part.shape == (top - bottom, right - left):
                return part
        return self._band.read(bottom, top, left, right)


def place_on(
    grid: Grid, pixels: Pixels, left: int, bottom: int, side: int
) -> tuple[NDArray[np.float64], ...]:
    """Where the pixels of a square of one grid lie in another image.

    Returns
    -------
    x, y : ndarray, shape (side, side), float64
        Columns and rows. They follow from an affine map where that is right to `SAME_PIXEL`.
    """
    probes = np.linspace(0, side - 1, _PROBES)
    u, v = (values.ravel() for values in np.meshgrid(probes, probes))
    x, y = pixels.grid.to_pixels(*grid.to_sky(left + u, bottom + v))
    design = np.stack([np.ones_like(u), u, v], axis=1)
    target = np.stack([x, y], axis=1)
    if np.isfinite(target).all():
        affine = np.linalg.lstsq(design, target, rcond=None)[0]
        if np.abs(design @ affine - target).max() <= SAME_PIXEL:
            column, row = np.meshgrid(np.arange(side), np.arange(side))
            return tuple(affine[0, i] + affine[1, i] * column + affine[2, i] * row for i in range(2))
    column, row = np.meshgrid(np.arange(left, left + side), np.arange(bottom, bottom + side))
    places = (axis.ravel().astype(np.float64) for axis in (column, row))
    x, y = pixels.grid.to_pixels(*grid.to_sky(*places))
    return x.reshape(side, side), y.reshape(side, side)


def resample(grid: Grid, pixels: Pixels, left: int, bottom: int, side: int) -> NDArray[np.float32]:
    """A square of one grid from another image, bilinear, brightness of the sky kept.

    Returns
    -------
    ndarray, shape (side, side), float32
        Flux in a pixel of `grid`; NaN where a pixel that it takes is bad or absent.
    """
    from scipy.ndimage import map_coordinates  # slow to load, and not always needed

    x, y = place_on(grid, pixels, left, bottom, side)
    near = (x > -1) & (x < pixels.grid.width) & (y > -1) & (y < pixels.grid.height)
    if not near.any():
        return np.full((side, side), np.nan, np.float32)
    first, low = int(np.floor(x[near].min())) - 1, int(np.floor(y[near].min())) - 1
    last, high = int(np.ceil(x[near].max())) + 2, int(np.ceil(y[near].max())) + 2
    source = pixels.crop(first, low, last - first, high - low)
    places = np.where(near, [y - low, x - first], -9.0)
    flux = map_coordinates(source, places, order=1, mode="constant", cval=np.nan)
    return np.asarray(flux * (grid.scale / pixels.grid.scale) ** 2, np.float32)
