"""How the sky lies in an image."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

ToSky = Callable[[NDArray[np.float64], NDArray[np.float64]], tuple[NDArray[np.float64], NDArray[np.float64]]]
"""Positions (ICRS, degrees) of columns and rows."""


class SkyAxes(NamedTuple):
    """What a step of one pixel is on the sky, in arcseconds.

    Attributes
    ----------
    right_east, right_north
        How far east and north the next column is.
    down_east, down_north
        How far east and north the next row is.
    """

    right_east: float
    right_north: float
    down_east: float
    down_north: float

    @classmethod
    def north_up(cls, scale: float) -> Self:
        """Of an image with so many arcseconds a pixel, whose first row is in the north, its last column west.

        Examples
        --------
        >>> SkyAxes.north_up(0.4)
        SkyAxes(right_east=-0.4, right_north=0.0, down_east=0.0, down_north=-0.4)
        """
        return cls(-scale, 0.0, 0.0, -scale)

    @classmethod
    def at(cls, x: float, y: float, to_sky: ToSky) -> Self | None:
        """At a column and row of an image; None where it has no place on the sky."""
        ra, dec = to_sky(np.array([x, x + 1, x]), np.array([y, y, y + 1]))
        east = ((ra - ra[0] + 180) % 360 - 180) * np.cos(np.radians(dec[0])) * 3600
        north = (dec - dec[0]) * 3600
        steps = [float(value) for value in (east[1], north[1], east[2], north[2])]
        return cls(*steps) if np.isfinite(steps).all() else None
