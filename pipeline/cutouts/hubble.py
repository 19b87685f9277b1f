"""Galaxies of the Hubble eXtreme Deep Field, from the picture that scikit-image brings along.

The picture (872 × 1000 RGB) is brightened for the eye and carries no sky coordinates. Sources are detected in
it as it is, where noise is even, but radii are measured after its sRGB transfer curve is undone: else the
brightened skirts would count as much as the cores, and each galaxy would look lost in its frame.

What the criteria of `DetectionCriteria` do here: ``threshold`` and ``deblend_contrast`` find each galaxy of
the interacting groups but leave the face-on spiral whole; ``maximum_spikes`` drops the three saturated stars,
whose cores are as wide as a galaxy's in a picture; ``minimum_radius`` drops the hundreds of specks,
``minimum_peak`` fragments in the noise, and ``minimum_inside`` what the border cuts.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import skimage.data
from numpy.typing import NDArray

from pipeline.images.detection import DetectedSource, DetectionCriteria, detect_sources, select_galaxies
from pipeline.images.encode import encode_png
from pipeline.images.region import FRAME_RADII

SOURCE = "skimage.data.hubble_deep_field"


def hubble_field() -> NDArray[np.uint8]:
    """The picture.

    Returns
    -------
    ndarray, shape (872, 1000, 3), uint8
    """
    read: Callable[[], NDArray[np.uint8]] = skimage.data.hubble_deep_field
    return read()


def linear_light(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Undo the sRGB transfer curve (IEC 61966-2-1).

    Returns
    -------
    ndarray, shape of `picture`, float64
        In [0, 255].
    """
    value = np.arange(256) / 255
    curve = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
    return np.asarray((255 * curve)[picture], dtype=np.float64)


def hubble_galaxies(
    picture: NDArray[np.uint8], criteria: DetectionCriteria
) -> tuple[list[DetectedSource], dict[str, int]]:
    """The galaxies, from the brightest to the faintest, and the number of sources dropped by reason.

    Parameters
    ----------
    picture : ndarray, shape (height, width, 3), uint8
    """
    sources = detect_sources(picture.astype(np.float64), criteria, linear_light(picture))
    return select_galaxies(sources, criteria)


def cutout_rows(picture: NDArray[np.uint8], galaxies: list[DetectedSource]) -> Iterator[dict[str, Any]]:
    """Rows of the cutout table: the field's own pixels around each galaxy, as PNG.

    A cutout is as wide as its galaxy's frame, with borders on whole pixels, and ends at the field's border.

    Parameters
    ----------
    picture : ndarray, shape (height, width, 3), uint8
    """
    height, width = picture.shape[:2]
    for galaxy in galaxies:
        frame = FRAME_RADII * galaxy.radius
        left, right = _bounds(galaxy.x, frame, width)
        top, bottom = _bounds(galaxy.y, frame, height)
        yield {
            "object_id": f"hdf-{round(galaxy.x):04d}-{round(galaxy.y):04d}",
            "x": galaxy.x,
            "y": galaxy.y,
            "radius": galaxy.radius,
            "image": encode_png(picture[top:bottom, left:right]),
            "frame_pixels": frame,
            "center_x": galaxy.x - left,
            "center_y": galaxy.y - top,
        }


def _bounds(center: float, frame: float, size: int) -> tuple[int, int]:
    """First pixel of a frame and the one after its last, within the field; pixel i spans i ± 0.5."""
    return max(math.floor(center - frame / 2 + 0.5), 0), min(math.ceil(center + frame / 2 + 0.5), size)
