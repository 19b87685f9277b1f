"""Sixteen viewpoints of a galaxy: the corners of two crops and of their mirror images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.geometry.crops import CROP_PIXELS

VIEWPOINTS = 16
"""How many viewpoints the network sees of one galaxy."""

PATCH_PIXELS = 45
"""Width of a viewpoint, in crop pixels."""


def _corners(crop: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """The four corner patches, each turned so that the crop's centre lies towards its bottom right."""
    near, far = slice(0, PATCH_PIXELS), slice(CROP_PIXELS - PATCH_PIXELS, CROP_PIXELS)
    return [
        crop[near, near],
        np.rot90(crop[near, far], 1),
        np.rot90(crop[far, far], 2),
        np.rot90(crop[far, near], -1),
    ]


def viewpoint_pixels() -> NDArray[np.int64]:
    """Which crop pixel each viewpoint pixel is: array indexing only, no resampling.

    Order: the corners of crop A, of A mirrored, of B, of B mirrored; of each, top left, top right, bottom
    right, bottom left (Dieleman, Willett & Dambre 2015, section 7.2).

    Returns
    -------
    ndarray, shape (16, 45, 45), int64
        Index into the flattened (2, 69, 69) pair of crops. The galaxy's centre is at (34, 34) of each.
    """
    pair = np.arange(2 * CROP_PIXELS**2).reshape(2, CROP_PIXELS, CROP_PIXELS)
    return np.stack([patch for crop in pair for view in (crop, crop[:, ::-1]) for patch in _corners(view)])
