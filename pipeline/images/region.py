"""The square region around a galaxy that every transform in use can reach."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.geometry import FRAME_PIXELS
from pipeline.images.decode import ImageError

FRAME_RADII = 8.48
"""Width of a galaxy's frame in Petrosian 90 % radii: 424 pixels of 0.02 radii, as in SDSS's Galaxy Zoo."""

FRAME_HALF_LIGHT_RADII = 12.7
"""The same in half-light radii: the median of galaxies in Galaxy Zoo's 8-bit pictures."""

MAX_SIDE = 4096
"""The widest region that is cut out, in image pixels."""


@dataclass(frozen=True)
class Region:
    """Pixels around a galaxy, at the image's own resolution.

    Attributes
    ----------
    pixels : ndarray, shape (side, side, 3), uint8
        A view of the image where that holds the whole region and little else. Where the region passes the
        image's border, the image is reflected about its outermost pixels.
    center : tuple of float
        (x, y) of the galaxy in the region, in pixels.
    scale : float
        Image pixels per frame pixel.
    """

    pixels: NDArray[np.uint8]
    center: tuple[float, float]
    scale: float


@dataclass(frozen=True)
class RegionPlace:
    """Where a region lies in its image, which it may pass.

    Attributes
    ----------
    left, top, side
        Its first column and row, and its width, in image pixels.
    center, scale
        See `Region`.
    """

    left: int
    top: int
    side: int
    center: tuple[float, float]
    scale: float


def region_side(scale: float, reach: float) -> int:
    """Width in image pixels of a region that holds all within `reach` frame pixels of the galaxy."""
    return 2 * math.ceil(reach * scale) + 2


def place_region(
    width: int,
    height: int,
    reach: float,
    center: tuple[float, float] | None = None,
    frame_pixels: float | None = None,
) -> RegionPlace:
    """Where a region lies that holds what the transforms can reach; it takes no pixels to tell.

    Parameters
    ----------
    width, height
        Of the image, in pixels.
    reach
        See `pipeline.geometry.reach`, in frame pixels.
    center
        (x, y) of the galaxy in the image; the middle if None.
    frame_pixels
        Image pixels that the galaxy's 424-pixel frame covers; the image's larger side if None.

    Raises
    ------
    ImageError
        With reason ``bad_frame`` or ``bad_center`` if either is out of range.
    """
    frame = float(max(width, height)) if frame_pixels is None else float(frame_pixels)
    scale = frame / FRAME_PIXELS
    if not (frame > 0 and math.isfinite(frame)) or region_side(scale, reach) > MAX_SIDE:
        most = (MAX_SIDE - 4) / 2 / reach * FRAME_PIXELS
        what = "the image's larger side" if frame_pixels is None else "frame_pixels"
        raise ImageError(
            "bad_frame", f"{what} is {frame:g}; expected more than 0 and at most {most:.0f} pixels"
        )
    x, y = center if center is not None else ((width - 1) / 2, (height - 1) / 2)
    if not (-0.5 <= x <= width - 0.5 and -0.5 <= y <= height - 0.5):
        raise ImageError("bad_center", f"the centre ({x:g}, {y:g}) lies outside the {width}×{height} image")
    side = region_side(scale, reach)
    left, top = math.floor(x) - side // 2 + 1, math.floor(y) - side // 2 + 1
    return RegionPlace(left, top, side, (x - left, y - top), scale)


def cut_region(
    image: NDArray[np.uint8],
    reach: float,
    center: tuple[float, float] | None = None,
    frame_pixels: float | None = None,
) -> Region:
    """Cut out what the transforms can reach; nothing is resampled.

    Parameters
    ----------
    image : ndarray, shape (height, width, 3), uint8
    reach, center, frame_pixels
        As `place_region` takes them.

    Raises
    ------
    ImageError
        As `place_region`.
    """
    height, width = image.shape[:2]
    place = place_region(width, height, reach, center, frame_pixels)
    pixels = image[_rows(place.top, place.side, height)][:, _rows(place.left, place.side, width)]
    if 2 * pixels.nbytes < image.nbytes:
        pixels = pixels.copy()  # lest a small region keep a large image in memory
    return Region(pixels, place.center, place.scale)


def _rows(start: int, count: int, size: int) -> slice | NDArray[np.int64]:
    """Index of rows start, start + 1, … of an image of so many; a slice, which copies nothing, if it can."""
    if start >= 0 and start + count <= size:
        return slice(start, start + count)
    return reflected(np.arange(start, start + count), size)


def reflected(places: NDArray[np.int64], size: int) -> NDArray[np.int64]:
    """Rows or columns of an image of so many, those outside it folded about the outermost ones."""
    period = 2 * (size - 1)
    folded = places % period
    return np.minimum(folded, period - folded)
