"""Labelled galaxies, decoded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pipeline import storage
from pipeline.errors import InputError
from pipeline.images import ImageError, Region, decode_image
from pipeline.images.recentre import cut_frames
from pipeline.network import RegionBatch
from pipeline.training.labels import Labels


@dataclass(frozen=True)
class LabelledGalaxies:
    """Galaxies in memory.

    Attributes
    ----------
    ids
        The galaxies' object_ids.
    regions
        Pixels, cut out as far as the augmentation reaches, each at its image's own resolution.
    votes : Tensor, shape (n, answers), float32
        Cumulative vote fractions in the order of the tree; NaN where a vote is missing.
    weights : Tensor, shape (n,), float32
        What each galaxy counts for.
    """

    ids: tuple[str, ...]
    regions: tuple[Region, ...]
    votes: Tensor
    weights: Tensor

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, rows: slice) -> LabelledGalaxies:
        """Neighbouring galaxies, which share their memory with these."""
        return LabelledGalaxies(self.ids[rows], self.regions[rows], self.votes[rows], self.weights[rows])

    def subset(self, rows: Tensor) -> LabelledGalaxies:
        """The galaxies of these rows; pixels are shared."""
        chosen = rows.tolist()
        return LabelledGalaxies(
            tuple(self.ids[i] for i in chosen),
            tuple(self.regions[i] for i in chosen),
            self.votes[rows],
            self.weights[rows],
        )


@dataclass(frozen=True)
class Cut:
    """What is kept of an image.

    Attributes
    ----------
    reach
        How far from its centre a galaxy is kept, in frame pixels.
    recentring
        Threshold of detection where galaxies are recentred and rescaled (see `recentred`).
    """

    reach: float
    recentring: float | None = None


def load_galaxies(labels: Labels, cut: Cut) -> LabelledGalaxies:
    """Read the images of labelled galaxies.

    Raises
    ------
    InputError
        If an image is missing or bad.
    """
    rows = range(len(labels))
    regions = tuple(storage.read_ahead(lambda row: load_region(labels, row, cut), rows))
    return labelled(labels, torch.arange(len(labels)), regions)


def labelled(labels: Labels, rows: Tensor, regions: tuple[Region, ...]) -> LabelledGalaxies:
    """Regions of some rows with their labels."""
    chosen = rows.tolist()
    return LabelledGalaxies(
        tuple(labels.ids[row] for row in chosen),
        regions,
        torch.from_numpy(labels.votes)[rows],
        torch.from_numpy(labels.weights)[rows],
    )


def check_images(labels: Labels) -> None:
    """Refuse labels of which an image isn't there; nothing is read.

    Raises
    ------
    InputError
        Naming the first, and how many there are.
    """
    folders = {image.rpartition("/")[0] for image in labels.images}
    existing = {file.uri for folder in sorted(folders) for file in storage.list_files(folder)}
    missing = [row for row, image in enumerate(labels.images) if image not in existing]
    if missing:
        raise InputError(
            f"{len(missing):,} of {len(labels):,} labelled galaxies have no image, first "
            f"{labels.ids[missing[0]]}: there is no {labels.images[missing[0]]}"
        )


def load_region(labels: Labels, row: int, cut: Cut) -> Region:
    """Read one galaxy's image (see `load_galaxies`)."""
    uri, frame = labels.images[row], float(labels.frames[row])
    width = None if np.isnan(frame) else frame
    thresholds = [] if cut.recentring is None else [cut.recentring]
    try:
        image = decode_image(storage.read_bytes(uri))
        region, recentred = cut_frames(image, cut.reach, None, width, thresholds)
    except (ImageError, InputError) as error:
        raise InputError(
            f"cannot use {uri}, the image of labelled galaxy {labels.ids[row]}: {error}"
        ) from error
    return Region(region.pixels, recentred[0][:2], recentred[0][2]) if recentred else region


def equal_sides(
    regions: Sequence[Region], at_once: int | None = None
) -> Iterator[tuple[Tensor, RegionBatch]]:
    """Regions by side, as batches.

    Parameters
    ----------
    at_once
        Most of them in a batch.

    Yields
    ------
    rows : Tensor, shape (m,), int64
        Where they are among `regions`.
    RegionBatch
        The m regions of that side.
    """
    sides = torch.tensor([region.pixels.shape[0] for region in regions], dtype=torch.int64)
    for side in sides.unique().tolist():
        alike = torch.nonzero(sides == side)[:, 0]
        for rows in alike.split(at_once or len(alike)):
            chosen = [regions[i] for i in rows.tolist()]
            yield (
                rows,
                RegionBatch(
                    torch.from_numpy(np.stack([region.pixels for region in chosen])),
                    torch.tensor([region.center for region in chosen], dtype=torch.float64),
                    torch.tensor([region.scale for region in chosen], dtype=torch.float64),
                ),
            )
