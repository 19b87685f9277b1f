"""Petrosian quantities from a growth curve, as SDSS defines them.

The Petrosian ratio at r is the mean surface brightness in the annulus 0.8 r … 1.25 r over that within r; the
Petrosian radius is where it falls to 0.2; the Petrosian flux is what lies within twice that radius
(Blanton et al. 2001; Strauss et al. 2002, section 3.2).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PETROSIAN_RATIO = 0.2
"""The Petrosian ratio at the Petrosian radius."""

PETROSIAN_APERTURES = 2.0
"""The Petrosian flux is what lies within so many Petrosian radii."""

ANNULUS = (0.8, 1.25)
"""Borders of the annulus whose brightness is compared, in radii."""


@dataclass(frozen=True)
class Petrosian:
    """Petrosian radius, the radii that hold 90 % and 50 % of the Petrosian flux, and that flux.

    Radii in pixels, flux in the image's unit × pixel².
    """

    radius: float
    radius_90: float
    radius_50: float
    flux: float


def petrosian(growth: NDArray[np.float64], radii: NDArray[np.float64]) -> Petrosian | None:
    """Measure a growth curve.

    Parameters
    ----------
    growth : ndarray, shape (n,), float64
        Flux within each radius.
    radii : ndarray, shape (n,), float64
        Ascending and above 0, in pixels.

    Returns
    -------
    Petrosian or None
        None where the ratio never falls to 0.2 within `radii` or there is no flux.
    """
    inner, outer = ANNULUS
    knots, curve = np.concatenate([[0.0], radii]), np.concatenate([[0.0], growth])

    def at(r: float | NDArray[np.float64]) -> NDArray[np.float64]:
        # Near the centre flux grows as r², so that is what it is interpolated in.
        return np.asarray(np.interp(np.square(r), np.square(knots), curve), dtype=np.float64)

    annulus = (at(outer * radii) - at(inner * radii)) / (outer**2 - inner**2)
    ratio = annulus / np.where(growth > 0, growth, np.inf)
    crossings = np.flatnonzero(
        (ratio[:-1] >= PETROSIAN_RATIO) & (ratio[1:] < PETROSIAN_RATIO) & (outer * radii[1:] <= radii[-1])
    )
    if not len(crossings):
        return None
    first = crossings[0]
    radius = float(np.interp(-PETROSIAN_RATIO, -ratio[first : first + 2], radii[first : first + 2]))
    flux = float(at(PETROSIAN_APERTURES * radius))
    if flux <= 0:
        return None
    rising = np.maximum.accumulate(curve)
    radius_90, radius_50 = (
        float(np.sqrt(np.interp(share * flux, rising, np.square(knots)))) for share in (0.9, 0.5)
    )
    return Petrosian(radius, radius_90, radius_50, flux)
