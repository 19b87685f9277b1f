"""How bright clumps are beside their galaxy."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pipeline.clumps.light import GalaxyLight

WITHIN = 1 - 2.0**-4
"""Share of a Gaussian's light within one full width at half maximum of its middle."""

_RING = 1.8


def flux_ratios(galaxy: GalaxyLight, x: ArrayLike, y: ArrayLike, width: ArrayLike) -> NDArray[np.float32]:
    """Flux of clumps over their galaxy's, in red, green and blue, shape (n, 3); none is below 0.

    The light within half a box of the middle, less the median of a ring about it, as if the rest of the
    box's light were that of a Gaussian half as wide as the box.

    Parameters
    ----------
    x, y, width : array_like, shape (n,)
        Middle and width of each clump's box, in pixels of the picture.
    """
    boxes = np.stack([np.asarray(part, float).reshape(-1) for part in (x, y, width)], axis=1)
    ratios = np.zeros((len(boxes), 3), np.float32)
    height, across = galaxy.own.shape
    for number, (column, row, box) in enumerate(boxes):
        radius = box / 2
        reach = int(np.ceil(_RING * radius)) + 1
        top, left = max(0, int(row) - reach), max(0, int(column) - reach)
        part = galaxy.light[
            top : min(height, int(row) + reach + 1), left : min(across, int(column) + reach + 1)
        ]
        if not part.size:
            continue
        rows, columns = np.ogrid[top : top + part.shape[0], left : left + part.shape[1]]
        distance = np.hypot(rows - row, columns - column)
        inside, ring = distance <= radius, (distance > radius) & (distance <= _RING * radius)
        if inside.any() and ring.any():
            excess = part[inside] - np.median(part[ring], axis=0)
            ratios[number] = np.maximum(excess.sum(axis=0) / WITHIN / galaxy.total, 0)
    return ratios


def belong(galaxy: GalaxyLight, x: ArrayLike, y: ArrayLike, ratios: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Whether what was found can be a clump: it lies on the galaxy's light, and isn't redder than that.

    Stars beside the galaxy don't, and most of those before it are redder.

    Parameters
    ----------
    x, y : array_like, shape (n,)
        In pixels of the picture.
    ratios : ndarray, shape (n, 3)
        See `flux_ratios`.
    """
    height, width = galaxy.own.shape
    columns = np.clip(np.rint(x).astype(int), 0, width - 1)
    rows = np.clip(np.rint(y).astype(int), 0, height - 1)
    kept: NDArray[np.bool_] = galaxy.own[rows, columns] & (ratios[:, 2] >= ratios[:, 0])
    return kept
