"""What is cut out for an object: its light, or why there is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.cutting.grid import Grid


@dataclass(frozen=True)
class Miss:
    """An object that no picture was made of."""

    item: Mapping[str, Any]
    reason: str
    message: str


@dataclass(frozen=True)
class Light:
    """An object's fluxes as they are on the tile's pixels.

    Attributes
    ----------
    item
        The row of the plan.
    flux
        By band, each of shape (side, side); NaN where a pixel is bad.
    center
        Column and row of the object.
    grid
        That of the image on whose pixels it is.
    tile, assembly
        See `pipeline.cutting.cutting.FURTHER`.
    """

    item: Mapping[str, Any]
    flux: Mapping[str, NDArray[np.float32]]
    center: tuple[float, float]
    grid: Grid
    tile: str
    assembly: str
