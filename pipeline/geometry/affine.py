"""Affine maps of the plane as 2×3 matrices, in (x, y) = (column, row) with y downwards."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


def linear_map(rotation: float = 0.0, zoom: float = 1.0, mirror: bool = False) -> NDArray[np.float64]:
    """The linear part (1/zoom)·Rotation·diag(±1, 1), from output offsets to input offsets.

    The matrix is written out, since a mirror built from a 180° shear is dropped by scikit-image.

    Parameters
    ----------
    rotation
        Degrees; positive turns +x towards +y (clockwise on a screen, where y points down).
    zoom
        Above 1 samples the input more closely: the galaxy appears larger.
    mirror
        Whether x is reversed first.

    Returns
    -------
    ndarray, shape (2, 2), float64
        Its determinant is ±1/zoom², negative for a mirror.

    Examples
    --------
    The galaxy twice as large: a step of one pixel in the crop is half a pixel in the image.

    >>> linear_map(zoom=2.0) @ [1.0, 0.0]
    array([0.5, 0. ])
    """
    cos, sin = math.cos(math.radians(rotation)), math.sin(math.radians(rotation))
    sign = -1.0 if mirror else 1.0
    return np.array([[sign * cos, -sin], [sign * sin, cos]]) / zoom
