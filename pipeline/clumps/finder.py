"""From galaxies' regions to what a catalogue says of their clumps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from pipeline.catalogue.clumps import CLUMP
from pipeline.clumps.detector import Found, sample_pictures
from pipeline.clumps.light import galaxy_light
from pipeline.clumps.photometry import belong, flux_ratios
from pipeline.clumps.weights import load_detector
from pipeline.images.axes import SkyAxes
from pipeline.network import RegionBatch

_AT_ONCE = 64
_FRAME = 340
"""Width of the part of a galaxy's frame that fluxes are measured in, in frame pixels."""


@dataclass(frozen=True)
class Placed:
    """Where galaxies' regions lie.

    Attributes
    ----------
    left, top : ndarray, shape (n,), float64
        First column and row of each region in its picture.
    ra, dec : ndarray, shape (n,), float64
        Of the galaxy, in degrees; NaN where they aren't known.
    axes : ndarray, shape (n, 4), float64
        How the sky lies in its picture (see `SkyAxes`); NaN where that isn't known.
    """

    left: NDArray[np.float64]
    top: NDArray[np.float64]
    ra: NDArray[np.float64]
    dec: NDArray[np.float64]
    axes: NDArray[np.float64]


class ClumpFinder:
    """Finds and measures clumps with a detector.

    Parameters
    ----------
    weights
        URI of the detector's weights.

    Raises
    ------
    InputError
        If they can't be used.
    """

    def __init__(self, weights: str, device: str | torch.device = "cpu") -> None:
        self._detector, self._card = load_detector(weights, device)

    def __call__(self, regions: RegionBatch, placed: Placed) -> list[NDArray[np.void]]:
        """The clumps of n galaxies, each an array of `CLUMP`, the most probable first."""
        clumps: list[NDArray[np.void]] = []
        for start in range(0, len(regions), _AT_ONCE):
            part = regions[start : start + _AT_ONCE]
            found = self._detector.find(sample_pictures(part), self._card.threshold)
            clumps += [
                self._measured(part[i : i + 1], one, placed, start + i) if len(one) else np.zeros(0, CLUMP)
                for i, one in enumerate(found)
            ]
        return clumps

    def _measured(self, region: RegionBatch, found: Found, placed: Placed, row: int) -> NDArray[np.void]:
        """What is said of the clumps of one galaxy."""
        middle = (_FRAME - 1) / 2
        light = galaxy_light(frame_of(region))
        ratios = flux_ratios(light, found.x + middle, found.y + middle, found.width)
        kept = belong(light, found.x + middle, found.y + middle, ratios)
        found, ratios = found[kept], ratios[kept]
        scale = float(region.scale[0])
        x, y = (float(value) for value in region.center[0])
        clumps = np.zeros(len(found), CLUMP)
        clumps["x"] = placed.left[row] + x + scale * found.x
        clumps["y"] = placed.top[row] + y + scale * found.y
        clumps["width"] = scale * found.width
        clumps["probability"] = found.probability
        axes = SkyAxes(*placed.axes[row].tolist())
        clumps["ra"], clumps["dec"] = sky_position(
            placed.ra[row],
            placed.dec[row],
            scale * (found.x * axes.right_east + found.y * axes.down_east),
            scale * (found.x * axes.right_north + found.y * axes.down_north),
        )
        for band, values in zip(("red", "green", "blue"), ratios.T, strict=True):
            clumps[f"flux_ratio_{band}"] = values
        return clumps


def frame_of(region: RegionBatch) -> NDArray[np.uint8]:
    """The first galaxy's frame about its centre, (340, 340, 3), one pixel a frame pixel."""
    steps = torch.arange(_FRAME, dtype=torch.float64) - (_FRAME - 1) / 2
    last = region.pixels.shape[1] - 1
    x, y = (
        (float(region.center[0, i]) + float(region.scale[0]) * steps) * (2.0 / last) - 1.0 for i in (0, 1)
    )
    grid = torch.stack(torch.meshgrid(y, x, indexing="ij")[::-1], dim=-1)[None].float()
    image: Tensor = region.pixels[:1].cpu().permute(0, 3, 1, 2).float()
    seen = functional.grid_sample(image, grid, padding_mode="reflection", align_corners=True)[0]
    return seen.permute(1, 2, 0).round().clamp(0, 255).to(torch.uint8).numpy()


def sky_position(
    ra: float, dec: float, east: NDArray[np.floating], north: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """ICRS of places near a position, in degrees (gnomonic projection).

    Parameters
    ----------
    ra, dec
        The position.
    east, north : ndarray, shape (n,)
        Arcseconds from there.

    Examples
    --------
    >>> ra, dec = sky_position(10.0, 0.0, np.array([3600.0]), np.array([0.0]))
    >>> round(float(ra[0]), 3), float(dec[0])
    (11.0, 0.0)
    """
    east, north = np.radians(east / 3600.0), np.radians(north / 3600.0)
    middle = np.radians(dec)
    depth = np.cos(middle) - north * np.sin(middle)
    positions = np.degrees(np.arctan2(east, depth)) + ra
    heights = np.degrees(np.arctan2(np.sin(middle) + north * np.cos(middle), np.hypot(east, depth)))
    return np.mod(positions, 360.0), heights + 0.0
