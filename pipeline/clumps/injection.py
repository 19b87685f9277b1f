"""Clumps put into pictures of real galaxies: blue points of known flux, blurred as the picture is.

What real clumps have and these lack: a size and shape of their own, dust, blending with the arm that they
formed in, the noise of their own photons, and colours tied to their age.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import sep
from numpy.typing import NDArray
from scipy import ndimage

from pipeline.clumps.light import GalaxyLight, galaxy_light, to_light, to_picture

RATIOS = (0.001, 0.3)
"""Least and largest flux of a clump over its galaxy's, in blue; logarithms are uniform between them."""

_MOST_CLUMPS = 8
_REDDER = (0.4, 1.0)
"""Range of what a clump's flux ratio is multiplied by from blue to green, and again to red."""

_WIDTHS = (4.0, 14.0)
_USUAL_WIDTH = 8.0
_STELLAR_PEAK = 15.0
_NUCLEUS = 8.0
_LEAST_KNOT = 0.01
_KNOT_SIGMA = 4.0


@dataclass(frozen=True)
class Injected:
    """A picture with clumps in it.

    Attributes
    ----------
    picture : ndarray, shape (height, width, 3), uint8
    x, y, ratio : ndarray, shape (clumps,), float64
        Where they are, in pixels, and their flux over the galaxy's in blue.
    width : float
        Full width at half maximum of the picture's points, in pixels.
    knots : ndarray, shape (n, 2), float64
        (x, y) of blue knots that the galaxy had before: nobody knows if these are clumps.
    """

    picture: NDArray[np.uint8]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    ratio: NDArray[np.float64]
    width: float
    knots: NDArray[np.float64]


def point_width(galaxy: GalaxyLight) -> float:
    """Full width at half maximum of a picture's points, in pixels: of the most compact of its stars.

    8 pixels where there is no star beside the galaxy.
    """
    brightness = np.ascontiguousarray(galaxy.light.sum(axis=2))
    noise = 3 * galaxy.noise
    stars = sep.extract(brightness, 5.0, err=noise, mask=galaxy.own, minarea=5, deblend_cont=1.0)
    bright = stars[stars["peak"] > _STELLAR_PEAK * noise]
    if not len(bright):
        return _USUAL_WIDTH
    widths = 2.355 * np.sqrt(bright["a"] * bright["b"])
    return float(np.clip(np.quantile(widths, 0.2), *_WIDTHS))


def knots_of(galaxy: GalaxyLight, width: float) -> NDArray[np.float64]:
    """(x, y) of a galaxy's own blue knots: peaks in blue light, but for the nucleus and red stars."""
    if not galaxy.own.any():
        return np.zeros((0, 2))
    sigma = width / 2.355
    (box,) = ndimage.find_objects(galaxy.own.astype(np.int8))
    own, light = galaxy.own[box], galaxy.light[box]
    red, blue = (
        ndimage.gaussian_filter(light[..., band], 0.7 * sigma)
        - ndimage.uniform_filter(light[..., band], round(2 * width))
        for band in (0, 2)
    )
    noise = _KNOT_SIGMA * galaxy.noise / (2 * sigma)
    peak = (blue == ndimage.maximum_filter(blue, size=max(3, round(width)))) & own & (blue > noise)
    rows, columns = np.nonzero(peak)
    flux = 2 * np.pi * 1.49 * sigma**2 * np.stack([red[peak], blue[peak]])
    of_red, of_blue = flux / galaxy.total[[0, 2], None]
    places = np.stack([columns + box[1].start, rows + box[0].start], axis=1).astype(np.float64)
    middle = (np.array(galaxy.own.shape[::-1]) - 1) / 2
    outside = np.hypot(*(places - middle).T) > _NUCLEUS
    knots: NDArray[np.float64] = places[outside & (of_blue > _LEAST_KNOT) & (of_blue > 0.8 * of_red)]
    return knots


def inject(picture: NDArray[np.uint8], random: np.random.Generator) -> Injected:
    """Put up to eight clumps into a galaxy, where its light is; none into one without light.

    Parameters
    ----------
    picture : ndarray, shape (height, width, 3), uint8
        With the galaxy in the middle, stretched as SDSS's pictures are (see `to_light`).
    """
    galaxy = galaxy_light(picture)
    width = point_width(galaxy)
    x, y = _places(galaxy, width, int(random.integers(0, _MOST_CLUMPS + 1)), random)
    least, most = (float(np.log(ratio)) for ratio in RATIOS)
    ratio = np.exp(random.uniform(least, most, len(x)))
    redder = random.uniform(*_REDDER, (len(x), 2))
    ratios = np.stack([ratio * redder[:, 0] * redder[:, 1], ratio * redder[:, 0], ratio], axis=1)
    light = to_light(picture)
    for place in range(len(x)):
        _add_point(light, x[place], y[place], ratios[place] * galaxy.total, width)
    return Injected(to_picture(light), x, y, ratio, width, knots_of(galaxy, width))


def _places(
    galaxy: GalaxyLight, width: float, count: int, random: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """So many places at most where a galaxy's light is, farther apart than 1.2 widths."""
    smooth = ndimage.uniform_filter(galaxy.light.sum(axis=2), round(width))
    rows, columns = np.nonzero(galaxy.own & (smooth > 0))
    middle = (np.array(galaxy.own.shape) - 1) / 2
    outside = np.hypot(rows - middle[0], columns - middle[1]) >= _NUCLEUS
    rows, columns = rows[outside], columns[outside]
    chance = np.cumsum(smooth[rows, columns], dtype=np.float64)
    places = np.zeros((0, 2))
    for draw in random.random(count if len(rows) else 0):
        chosen = min(int(np.searchsorted(chance, draw * chance[-1])), len(rows) - 1)
        place = np.array([columns[chosen], rows[chosen]]) + random.uniform(-0.5, 0.5, 2)
        if not len(places) or np.hypot(*(places - place).T).min() >= 1.2 * width:
            places = np.concatenate([places, place[None]])
    return places[:, 0], places[:, 1]


def _add_point(
    light: NDArray[np.float32], x: float, y: float, flux: NDArray[np.float32], width: float
) -> None:
    """Add a Gaussian of so much flux in each band to light, in its place."""
    sigma, reach = width / 2.355, int(3 * width) + 1
    top, left = max(0, round(y) - reach), max(0, round(x) - reach)
    part = light[top : round(y) + reach + 1, left : round(x) + reach + 1]
    rows, columns = np.ogrid[top : top + part.shape[0], left : left + part.shape[1]]
    profile = np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * sigma**2)) / (2 * np.pi * sigma**2)
    part += (profile[..., None] * flux).astype(np.float32)
