"""Pictures as a generator knows them: the middle of a galaxy's frame, turned and mirrored at will."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.geometry import FRAME_PIXELS
from pipeline.images import Region
from pipeline.network import RegionBatch

SIDE, STEP = 64, 4.0
"""Pixels of a picture, and frame pixels from one to the next: it shows the frame's middle 256."""

PICTURE_FRAME = FRAME_PIXELS / STEP
"""Width in such pixels of the frame of which a picture is the middle: its ``frame_pixels`` as a cutout."""

KEPT_SIDE, KEPT_STEP = 184, 2.0
"""The same of the pictures that are kept to train on: finer, and wide enough to be turned by any angle."""

REACH = KEPT_SIDE * KEPT_STEP / 2
"""How far from its centre a galaxy is looked at, in frame pixels."""


@dataclass(frozen=True)
class TrainingSet:
    """Galaxies to train on.

    Attributes
    ----------
    pictures : Tensor, shape (n, 184, 184, 3), uint8
        100 kB each.
    votes : Tensor, shape (n, answers), float32
        Cumulative vote fractions in the order of the tree; NaN where one isn't known.
    """

    pictures: Tensor
    votes: Tensor

    def __len__(self) -> int:
        return len(self.pictures)

    def first(self, count: int) -> TrainingSet:
        """So many of the galaxies."""
        return TrainingSet(self.pictures[:count], self.votes[:count])

    def to(self, device: torch.device) -> TrainingSet:
        """The same galaxies on a device."""
        return TrainingSet(self.pictures.to(device), self.votes.to(device))

    def seen(self, rows: Tensor, angles: Tensor, mirrored: Tensor) -> Tensor:
        """Some galaxies as a generator sees them, (m, 3, 64, 64), float32 in [0, 1]; each turned.

        Parameters
        ----------
        angles : Tensor, shape (m,)
            In radians.
        mirrored : Tensor, shape (m,), bool
        """
        count, device = len(rows), self.pictures.device
        kept = RegionBatch(
            self.pictures[rows],
            torch.full((count, 2), (KEPT_SIDE - 1) / 2, dtype=torch.float64, device=device),
            torch.full((count,), 1 / KEPT_STEP, dtype=torch.float64, device=device),
        )
        return middles(kept, SIDE, STEP, angles, mirrored)


def kept_pictures(regions: Iterable[Region], count: int) -> Tensor:
    """The middles of galaxies' frames as they are kept to train on, (n, 184, 184, 3), uint8.

    Parameters
    ----------
    regions
        Each reaches as far as `REACH`.
    count
        How many there are.
    """
    pictures = torch.empty((count, KEPT_SIDE, KEPT_SIDE, 3), dtype=torch.uint8)
    for row, region in enumerate(regions):
        one = RegionBatch(
            torch.from_numpy(region.pixels.copy())[None],
            torch.tensor([region.center], dtype=torch.float64),
            torch.tensor([region.scale], dtype=torch.float64),
        )
        pictures[row] = to_bytes(middles(one, KEPT_SIDE, KEPT_STEP)[0])
    return pictures


def to_bytes(pictures: Tensor) -> Tensor:
    """Pictures (…, 3, side, side) in [0, 1] as uint8 (…, side, side, 3)."""
    return (pictures.clamp(0, 1) * 255).round().to(torch.uint8).movedim(-3, -1)


def middles(
    regions: RegionBatch,
    side: int,
    step: float,
    angles: Tensor | None = None,
    mirrored: Tensor | None = None,
) -> Tensor:
    """The middle of each galaxy's frame, (n, 3, side, side), float32 in [0, 1].

    Each pixel is the mean of four bilinear samples, so that what lies between pixels isn't lost.

    Parameters
    ----------
    side, step
        Pixels of the result, and frame pixels from one to the next.
    angles, mirrored
        By how many radians each is turned, and whether it is mirrored before; neither if None.
    """
    count, device = len(regions), regions.pixels.device
    axis = (torch.arange(2 * side, device=device) - (2 * side - 1) / 2) * (step / 2)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    angles = torch.zeros(count, device=device) if angles is None else angles.to(torch.float32)
    sign = torch.ones_like(angles) if mirrored is None else 1 - 2 * mirrored.to(torch.float32)
    cosine, sine, sign = (part[:, None, None] for part in (angles.cos(), angles.sin(), sign))
    offsets = torch.stack([sign * (cosine * x + sine * y), cosine * y - sine * x], dim=-1)
    center, scale = (part.to(torch.float32) for part in (regions.center, regions.scale))
    places = center[:, None, None, :] + scale[:, None, None, None] * offsets
    grid = places * (2.0 / (regions.pixels.shape[1] - 1)) - 1.0
    image = regions.pixels.permute(0, 3, 1, 2).to(torch.float32) / 255.0
    samples = functional.grid_sample(image, grid, padding_mode="reflection", align_corners=True)
    return functional.avg_pool2d(samples, 2)
