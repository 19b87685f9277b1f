"""The two square crops around a galaxy, and how far from its centre they reach.

Lengths are in frame pixels: the galaxy's frame is 424 of them wide whatever the image's own resolution
(SDSS Galaxy Zoo frames: 0.02 × Petrosian 90 % radius per pixel).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from pipeline.geometry.affine import linear_map

FRAME_PIXELS = 424
"""Width of a galaxy's frame."""

CROP_PIXELS = 69
"""Width of a crop, in pixels of its own."""

CROP_STEP = 3.0
"""Frame pixels from one crop pixel to the next."""


def crop_maps() -> NDArray[np.float64]:
    """Maps of crop A (upright) and crop B (turned by +45°): crop pixel (x, y) → frame offset from the centre.

    For a 424-pixel frame, crop A samples 3·i + 109.5 for i = 0…68 on both axes
    (Dieleman, Willett & Dambre 2015, section 7.2).

    Returns
    -------
    ndarray, shape (2, 2, 3), float64
        For each crop the affine matrix that takes (x, y, 1) to (dx, dy) in frame pixels.
    """
    middle = (CROP_PIXELS - 1) / 2
    upright = CROP_STEP * np.array([[1.0, 0.0, -middle], [0.0, 1.0, -middle]])
    return np.stack([upright, linear_map(rotation=45.0) @ upright])


def reach(zoom: float = 1.0, translation: float = 0.0) -> float:
    """The farthest from the galaxy's centre, in frame pixels along one axis, that any crop samples.

    Parameters
    ----------
    zoom
        The smallest zoom in use (1/1.2 for the sixty transforms).
    translation
        The largest shift along an axis, in frame pixels.

    Examples
    --------
    >>> round(reach(), 1)
    144.2
    >>> round(reach(zoom=1 / 1.2), 1)
    173.1
    """
    corner = CROP_STEP * (CROP_PIXELS - 1) / 2 * math.sqrt(2.0)
    return corner / zoom + translation
