"""A galaxy's frame, moved and scaled to what is measured of it.

Dieleman, Willett & Dambre 2015, section 7.1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import sep
from numpy.typing import NDArray

from pipeline.geometry import FRAME_PIXELS
from pipeline.images.detection import salience
from pipeline.images.petrosian import PETROSIAN_APERTURES, petrosian
from pipeline.images.region import Region, cut_region

_GREEN = 1

_APERTURE = 160.0
"""Radius of the Petrosian aperture (SExtractor's PETRO_RADIUS) that galaxies are zoomed to; frame pixels."""

_MOST_ZOOM = 1.5
_BACKGROUND_PIXELS = 64
_MINIMUM_AREA = 5
_STEPS_OF_REACH = 4
"""Regions grow in quarters of what the transforms reach, so that few sizes occur."""


@dataclass(frozen=True)
class Frame:
    """Where a galaxy's 424-pixel frame lies in its image, in image pixels.

    Attributes
    ----------
    center
        (x, y).
    pixels
        Width of the frame.
    """

    center: tuple[float, float]
    pixels: float


def recentred(image: NDArray[np.uint8], frame: Frame, threshold: float) -> Frame:
    """The frame about the most salient source; the same frame if there is none.

    Of all sources, found by SExtractor's algorithm in the green channel, it is the one with the largest
    `salience`, its area the ellipse's. The zoom that brings its Petrosian aperture to 160 frame
    pixels is limited to 1.5 either way.

    Parameters
    ----------
    image : ndarray, shape (height, width, 3), uint8
    threshold
        Threshold of detection, in standard deviations of the background.
    """
    green = np.ascontiguousarray(image[:, :, _GREEN], dtype=np.float32)
    background = sep.Background(green, bw=_BACKGROUND_PIXELS, bh=_BACKGROUND_PIXELS)
    light = green - background.back()
    # A background without noise, of an image that was made or cleaned, has a step of the camera at least.
    noise = max(float(background.globalrms), 1.0)
    sources, segments = sep.extract(light, threshold, err=noise, minarea=_MINIMUM_AREA, segmentation_map=True)
    if not len(sources):
        return frame
    scale = frame.pixels / FRAME_PIXELS
    distance = np.hypot(sources["x"] - frame.center[0], sources["y"] - frame.center[1]) / scale
    salient = salience(np.pi * sources["a"] * sources["b"], distance)
    number = int(np.argmax(salient))
    x, y = float(sources["x"][number]), float(sources["y"][number])
    radii = np.arange(0.5, max(light.shape) / 2, 0.5)
    growth, _, _ = sep.sum_circle(light, x, y, radii, segmap=segments, seg_id=number + 1)
    measured = petrosian(np.asarray(growth, np.float64), radii)
    zoom = 1.0
    if measured is not None:
        zoom = _APERTURE * scale / (PETROSIAN_APERTURES * measured.radius)
    return Frame((x, y), frame.pixels / float(np.clip(zoom, 1 / _MOST_ZOOM, _MOST_ZOOM)))


def cut_frames(
    image: NDArray[np.uint8],
    reach: float,
    center: tuple[float, float] | None,
    frame_pixels: float | None,
    thresholds: Sequence[float],
) -> tuple[Region, list[tuple[float, float, float]]]:
    """A region that holds what the transforms reach of a galaxy's frame and of its recentred ones.

    Parameters
    ----------
    reach, center, frame_pixels
        As `cut_region` takes them.
    thresholds
        One for each recentred frame.

    Returns
    -------
    region
        As `cut_region` gives it, larger where a recentred frame needs it.
    recentred : list of tuple of float
        (x, y, scale) of each recentred frame in the region.

    Raises
    ------
    ImageError
        As `cut_region`.
    """
    region = cut_region(image, reach, center, frame_pixels)
    if not thresholds:
        return region, []
    height, width = image.shape[:2]
    middle = center or ((width - 1) / 2, (height - 1) / 2)
    frames = [recentred(image, Frame(middle, region.scale * FRAME_PIXELS), limit) for limit in thresholds]
    needed = max(
        max(abs(frame.center[axis] - middle[axis]) for axis in (0, 1)) / region.scale
        + reach * frame.pixels / FRAME_PIXELS / region.scale
        for frame in frames
    )
    step = reach / _STEPS_OF_REACH
    if needed > reach:
        region = cut_region(image, step * math.ceil(needed / step), center, frame_pixels)
    left, top = middle[0] - region.center[0], middle[1] - region.center[1]
    return region, [
        (frame.center[0] - left, frame.center[1] - top, frame.pixels / FRAME_PIXELS) for frame in frames
    ]
