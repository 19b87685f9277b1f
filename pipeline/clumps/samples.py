"""Galaxies to train a detector on: injected ones, and real ones whose clumps people marked."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from pipeline.clumps.detector import SIDE, sample_pictures, target_maps
from pipeline.clumps.injection import inject, point_width
from pipeline.clumps.light import GalaxyLight, galaxy_light
from pipeline.clumps.photometry import flux_ratios
from pipeline.errors import InputError
from pipeline.geometry import FRAME_PIXELS
from pipeline.images import ImageError, decode_image
from pipeline.network import RegionBatch

BOX = 2.0
"""Width of a clump's box in widths of a point."""


@dataclass(frozen=True)
class Sample:
    """A galaxy and its clumps.

    Attributes
    ----------
    picture : ndarray, shape (424, 424, 3), uint8
    places, unknown : ndarray, shape (n, 2), float64
        (x, y) in frame pixels from the centre: its clumps, and knots of which nobody knows if they are some.
    ratios : ndarray, shape (n,), float64
        Flux of each clump over the galaxy's, in blue.
    width : float
        Full width at half maximum of the picture's points, in pixels.
    """

    picture: NDArray[np.uint8]
    places: NDArray[np.float64]
    ratios: NDArray[np.float64]
    width: float
    unknown: NDArray[np.float64]

    def seen(self) -> NDArray[np.uint8]:
        """The picture as a detector sees it, (3, 112, 112)."""
        side = self.picture.shape[0]
        region = RegionBatch(
            torch.from_numpy(np.ascontiguousarray(self.picture))[None],
            torch.full((1, 2), (side - 1) / 2, dtype=torch.float64),
            torch.ones(1, dtype=torch.float64),
        )
        return (sample_pictures(region)[0] * 255).round().to(torch.uint8).numpy()


def read_picture(path: Path) -> NDArray[np.uint8]:
    """A frame of 424 × 424 pixels.

    Raises
    ------
    InputError
        If it is no picture, or one of another size.
    """
    try:
        picture = decode_image(path.read_bytes())
    except (OSError, ImageError) as error:
        raise InputError(f"{path} can't be read: {error}") from error
    if picture.shape != (FRAME_PIXELS, FRAME_PIXELS, 3):
        height, width = picture.shape[:2]
        raise InputError(f"{path} is {width} × {height}; expected {FRAME_PIXELS} × {FRAME_PIXELS} pixels")
    return picture


def disks(labels: Path, least: float = 0.5) -> list[tuple[str, str]]:
    """Folder and GalaxyID of the galaxies that most volunteers saw features or a disk in.

    Parameters
    ----------
    labels
        CSV with ``GalaxyID, folder, Class1.2`` among its columns.

    Raises
    ------
    InputError
        If it can't be read, or lacks a column.
    """
    try:
        with labels.open(newline="") as lines:
            rows = csv.DictReader(lines)
            missing = {"GalaxyID", "folder", "Class1.2"} - set(rows.fieldnames or ())
            if missing:
                raise InputError(
                    f"{labels} has no column {min(missing)!r}; expected GalaxyID, folder, Class1.2"
                )
            return [(row["folder"], row["GalaxyID"]) for row in rows if float(row["Class1.2"] or 0) >= least]
    except (OSError, ValueError) as error:
        raise InputError(f"{labels} can't be read: {error}") from error


def injected_sample(path: Path, seed: int) -> Sample:
    """A galaxy's picture with clumps injected into it; the same for the same seed."""
    made = inject(read_picture(path), np.random.default_rng(seed))
    middle = (FRAME_PIXELS - 1) / 2
    places = np.stack([made.x, made.y], axis=1) - middle
    return Sample(made.picture, places, made.ratio, made.width, made.knots - middle)


def marked_samples(folder: Path) -> dict[str, Sample]:
    """Real galaxies by their picture's name, with the clumps of ``clumps.csv`` that lie on their light.

    Galaxies are left out whose marks don't fit their picture (see `marks_fit`). Of the others, a position is
    dropped if it isn't within the isophote of the galaxy in the middle that stands out from the sky by three
    standard deviations (see `galaxy_light`).

    Raises
    ------
    InputError
        If the table or a picture can't be read.
    """
    table = folder / "clumps.csv"
    positions: dict[str, list[tuple[float, float]]] = {}
    try:
        with table.open(newline="") as lines:
            for row in csv.DictReader(lines):
                positions.setdefault(row["image"], []).append((float(row["x_px"]), float(row["y_px"])))
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"{table} can't be read ({error}); expected columns image, x_px, y_px") from error
    samples = {}
    for name, places in sorted(positions.items()):
        picture, marks = read_picture(folder / "images" / name), np.array(places)
        galaxy = galaxy_light(picture)
        if marks_fit(galaxy, marks):
            samples[name] = _marked(picture, galaxy, marks)
    return samples


def marks_fit(galaxy: GalaxyLight, places: NDArray[np.float64]) -> bool:
    """Whether knots are where they were marked.

    Where a picture's scale or centre is wrong, marks lie anywhere. So the light has to stand out at the marks
    more than it does in 95 % of the cases in which all are turned about the middle, by each two degrees.

    Parameters
    ----------
    places : ndarray, shape (n, 2), float64
        (x, y) in pixels.
    """
    brightness = np.arcsinh(10 * galaxy.light.sum(axis=2))
    knots = ndimage.gaussian_filter(brightness, 1.5) - ndimage.gaussian_filter(brightness, 6.0)
    middle = (np.array(knots.shape[::-1]) - 1) / 2
    contrast = []
    for angle in np.radians(np.arange(0, 360, 2)):
        x, y = _turned(places - middle, angle).T
        contrast.append(ndimage.map_coordinates(knots, [y + middle[1], x + middle[0]], order=1).mean())
    return bool(np.mean(np.array(contrast) >= contrast[0]) <= 0.05)


def _marked(picture: NDArray[np.uint8], galaxy: GalaxyLight, places: NDArray[np.float64]) -> Sample:
    columns, rows = np.clip(np.rint(places).astype(int), 0, FRAME_PIXELS - 1).T
    places = places[galaxy.own[rows, columns]]
    width = point_width(galaxy)
    boxes = np.full(len(places), BOX * width)
    ratios = flux_ratios(galaxy, places[:, 0], places[:, 1], boxes)[:, 2].astype(np.float64)
    middle = (FRAME_PIXELS - 1) / 2
    return Sample(picture, places - middle, ratios, width, np.zeros((0, 2)))


def turned(sample: Sample, degrees: float) -> Sample:
    """The same galaxy, turned about the middle of its picture."""
    picture = ndimage.rotate(sample.picture, -degrees, reshape=False, order=1, mode="reflect")
    angle = np.radians(degrees)
    return replace(
        sample,
        picture=picture,
        places=_turned(sample.places, angle),
        unknown=_turned(sample.unknown, angle),
    )


def _turned(places: NDArray[np.float64], angle: float) -> NDArray[np.float64]:
    cosine, sine = np.cos(angle), np.sin(angle)
    result: NDArray[np.float64] = places @ np.array([[cosine, sine], [-sine, cosine]])
    return result


@dataclass(frozen=True)
class TrainingSet:
    """Samples as tensors.

    Attributes
    ----------
    pictures : Tensor, shape (n, 3, 112, 112), uint8
    targets, counts : Tensor, shape (n, 4, 56, 56) and (n, 56, 56), float32
        See `target_maps`.
    """

    pictures: Tensor
    targets: Tensor
    counts: Tensor

    def __len__(self) -> int:
        return len(self.pictures)

    def first(self, count: int) -> TrainingSet:
        """So many of the galaxies."""
        return TrainingSet(self.pictures[:count], self.targets[:count], self.counts[:count])


def joined(sets: Sequence[TrainingSet]) -> TrainingSet:
    """The galaxies of several sets, one after the other."""
    return TrainingSet(
        torch.cat([one.pictures for one in sets]),
        torch.cat([one.targets for one in sets]),
        torch.cat([one.counts for one in sets]),
    )


def training_set(samples: Sequence[Sample]) -> TrainingSet:
    """Samples in the form that a detector is trained on.

    Raises
    ------
    InputError
        If there are none.
    """
    if not samples:
        raise InputError("there are no galaxies to train on; expected at least one")
    maps = [
        target_maps(one.places, np.full(len(one.places), BOX * one.width), one.unknown, one.width)
        for one in samples
    ]
    pictures = torch.from_numpy(np.stack([one.seen() for one in samples]))
    assert pictures.shape[2] == SIDE
    targets, counts = (torch.from_numpy(np.stack(part)) for part in zip(*maps, strict=True))
    return TrainingSet(pictures, targets, counts)
