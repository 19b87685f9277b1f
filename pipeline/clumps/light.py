"""The light of a colour picture: its stretch undone, its sky, and the galaxy's own part of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

NONLINEARITY = 3.0
"""Of the inverse hyperbolic sine in SDSS's pictures."""

_SUMS = np.arange(1, 3 * 255 + 1) / 255
_GAIN = np.concatenate([[1], np.sinh(NONLINEARITY * _SUMS) / NONLINEARITY / _SUMS]).astype(np.float32) / 255
"""Light of a band over its value in 8 bits, by the sum of the three values."""

_SMOOTHING = 2.0
_SIGNIFICANT = 3.0
_GAUSSIAN_OF_MAD = 1.4826


@dataclass(frozen=True)
class GalaxyLight:
    """What a galaxy's picture says of its light.

    Attributes
    ----------
    light : ndarray, shape (height, width, 3), float32
        Linear, red, green and blue, the sky taken off.
    own : ndarray, shape (height, width), bool
        Where the galaxy is: the isophote about the middle that stands out from the sky.
    total : ndarray, shape (3,), float32
        The galaxy's light in each band; at least a millionth.
    noise : float
        Standard deviation of a pixel of the sky in blue.
    """

    light: NDArray[np.float32]
    own: NDArray[np.bool_]
    total: NDArray[np.float32]
    noise: float


def to_light(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Linear light of a picture (height, width, 3), as far as 8 bits tell it.

    SDSS's pictures show asinh(n L) / n of the sum L of the three bands, divided among them as the light is
    (n is `NONLINEARITY`; Lupton et al. 2004, PASP 116, 133). Of pictures with another stretch the light is a
    monotonous function of the true one, and ratios of fluxes are biased.
    """
    linear: NDArray[np.float32] = picture * _GAIN[picture.sum(axis=2, dtype=np.int32)][..., None]
    return linear


def to_picture(light: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The picture of linear light, (height, width, 3); the inverse of `to_light`, but for its rounding.

    Where a band would be brighter than 255, all three are dimmed, so that colours stay.
    """
    light = np.maximum(light, 0)
    total = light.sum(axis=2, keepdims=True)
    shown = light * (np.arcsinh(NONLINEARITY * total) / NONLINEARITY / np.maximum(total, 1e-6))
    shown /= np.maximum(shown.max(axis=2, keepdims=True), 1)
    picture: NDArray[np.uint8] = np.rint(255 * shown).astype(np.uint8)
    return picture


def galaxy_light(picture: NDArray[np.uint8], middle: tuple[float, float] | None = None) -> GalaxyLight:
    """The light of a galaxy.

    Parameters
    ----------
    picture : ndarray, shape (height, width, 3), uint8
    middle
        (x, y) of the galaxy; the picture's by default.
    """
    light = to_light(picture)
    height, width = light.shape[:2]
    x, y = middle or ((width - 1) / 2, (height - 1) / 2)
    edge = max(2, min(height, width) // 16)
    border = np.concatenate(
        [light[:edge].reshape(-1, 3), light[-edge:].reshape(-1, 3), light[:, :edge].reshape(-1, 3)]
    )
    sky = np.median(border, axis=0)
    noise = _GAUSSIAN_OF_MAD * float(np.median(np.abs(border[:, 2] - sky[2])))
    light -= sky
    smooth = ndimage.gaussian_filter(light.sum(axis=2), _SMOOTHING, truncate=2.5)
    rim = np.concatenate([smooth[:edge].ravel(), smooth[-edge:].ravel(), smooth[:, :edge].ravel()])
    spread = _GAUSSIAN_OF_MAD * float(np.median(np.abs(rim - np.median(rim))))
    threshold = float(np.median(rim)) + max(_SIGNIFICANT * spread, 1e-3)
    regions, _ = ndimage.label(smooth > threshold)
    own = regions == regions[round(min(max(y, 0), height - 1)), round(min(max(x, 0), width - 1))]
    own &= regions > 0
    total = np.maximum(light[own].sum(axis=0), 1e-6).astype(np.float32)
    return GalaxyLight(light, own, total, max(noise, 1e-4))
