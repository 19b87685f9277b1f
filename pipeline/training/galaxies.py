"""Labelled galaxies, decoded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pipeline import storage
from pipeline.errors import InputError
from pipeline.images import ImageError, Region, decode_image
from pipeline.images.recentre import cut_frames
from pipeline.training.labels import Labels
from pipeline.training.regions import Regions, sent, stacked


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
    regions: Regions
    votes: Tensor
    weights: Tensor

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, rows: slice | Tensor) -> LabelledGalaxies:
        """Some of the galaxies; pixels are shared."""
        if isinstance(rows, slice):
            return LabelledGalaxies(self.ids[rows], self.regions[rows], self.votes[rows], self.weights[rows])
        ids = tuple(self.ids[row] for row in rows.tolist())
        index = sent(rows, self.votes.device)
        return LabelledGalaxies(ids, self.regions[rows], self.votes[index], self.weights[index])

    def tensors(self) -> tuple[Tensor, ...]:
        """All tensors that may be on a device."""
        return (self.votes, self.weights, *self.regions.tensors())

    def gathered(self, pinned: bool = False) -> LabelledGalaxies:
        """These galaxies and no others; `pinned` in memory that a GPU can copy from by itself."""
        votes, weights = (part.pin_memory() if pinned else part for part in (self.votes, self.weights))
        return LabelledGalaxies(self.ids, self.regions.gathered(pinned), votes, weights)

    def to(self, device: torch.device) -> LabelledGalaxies:
        """The galaxies on a device; it may still be copying them if they come from pinned memory."""
        return LabelledGalaxies(
            self.ids,
            self.regions.to(device),
            self.votes.to(device, non_blocking=True),
            self.weights.to(device, non_blocking=True),
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
    count = len(labels)
    regions = stacked(storage.read_ahead(lambda row: load_region(labels, row, cut), range(count)), count)
    return labelled(labels, torch.arange(count), regions)


def labelled(labels: Labels, rows: Tensor, regions: Regions) -> LabelledGalaxies:
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
