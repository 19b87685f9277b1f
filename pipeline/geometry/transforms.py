"""The sixty transforms of test-time averaging, and the symmetry that leaves fifteen of them distinct."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from pipeline.geometry.affine import linear_map


@dataclass(frozen=True)
class Transform:
    """A perturbation of the view: input offset = linear part · crop offset.

    Attributes
    ----------
    rotation
        Degrees.
    zoom
        Above 1 enlarges the galaxy.
    mirror
        Whether the crop's x axis is reversed.
    """

    rotation: float = 0.0
    zoom: float = 1.0
    mirror: bool = False

    def matrix(self) -> NDArray[np.float64]:
        """The 2×2 linear part."""
        return linear_map(self.rotation, self.zoom, self.mirror)


IDENTITY = Transform()
"""The transform that changes nothing: the view as it is."""

_ZOOMS = (1 / 1.2, 1.0, 1.2)

SYMMETRIES = (Transform(), Transform(rotation=180.0), Transform(mirror=True), Transform(180.0, mirror=True))
"""The Klein four-group under which the sixteen viewpoints are only reordered."""

SYMMETRY_PERMUTATIONS: NDArray[np.int64] = np.array(
    [
        [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
        [2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13],
        [4, 5, 6, 7, 0, 1, 2, 3, 13, 14, 15, 12, 11, 8, 9, 10],
        [6, 7, 4, 5, 2, 3, 0, 1, 15, 12, 13, 14, 9, 10, 11, 8],
    ]
)
"""For each of `SYMMETRIES`: viewpoint i of the transformed galaxy is viewpoint [i] of the galaxy itself.

Exact, since the sampling grid is symmetric about the galaxy's centre; and the product of two rows is a row.
"""


def distinct_transforms() -> tuple[Transform, ...]:
    """The fifteen transforms whose sets of viewpoints differ: 5 rotations × 3 zooms."""
    return tuple(Transform(rotation=36.0 * k, zoom=zoom) for zoom in _ZOOMS for k in range(5))


def averaging_transforms() -> tuple[Transform, ...]:
    """The sixty transforms of test-time averaging: 3 zooms × 10 rotations × mirrored or not.

    Each of `distinct_transforms` is followed by its three other symmetries, in the order of `SYMMETRIES`
    (Dieleman, Willett & Dambre 2015, section 7.3).

    Examples
    --------
    >>> len(averaging_transforms()), len(distinct_transforms())
    (60, 15)
    """
    return tuple(
        replace(base, rotation=base.rotation + symmetry.rotation, mirror=symmetry.mirror)
        for base, symmetry in itertools.product(distinct_transforms(), SYMMETRIES)
    )
