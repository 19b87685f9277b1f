"""Label tables: which image each galaxy is, and the fractions of volunteers that gave each answer."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline import storage
from pipeline.errors import InputError
from pipeline.evaluation import VoteTable, read_votes
from pipeline.tree import DecisionTree

LABELS_FILE = "training_solutions_rev1.csv"
IMAGES_FOLDER = "images_training_rev1"
"""The Galaxy Challenge's names."""


@dataclass(frozen=True)
class Labels:
    """What is known of galaxies to train on.

    Attributes
    ----------
    ids
        The galaxies' object_ids.
    images
        URI of each one's image.
    frames : ndarray, shape (n,), float64
        Image pixels that each one's 424-pixel frame covers; NaN for the image's larger side.
    votes : ndarray, shape (n, answers), float32
        Cumulative vote fractions in the order of the tree; NaN where a vote is missing.
    weights : ndarray, shape (n,), float32
        What each galaxy counts for; 1 on average.
    """

    ids: tuple[str, ...]
    images: tuple[str, ...]
    frames: NDArray[np.float64]
    votes: NDArray[np.float32]
    weights: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, rows: slice) -> Labels:
        """The labels of neighbouring rows."""
        return Labels(
            self.ids[rows], self.images[rows], self.frames[rows], self.votes[rows], self.weights[rows]
        )


def read_labels(folder: str, tree: DecisionTree, table: str = LABELS_FILE) -> Labels:
    """Read the label table of a folder.

    It is what `pipeline.evaluation.read_votes` takes. Where there are columns of these names, ``image`` is
    each image's URI or path in the folder (else, or where it is empty, ``images_training_rev1/<id>.jpg``),
    ``frame_pixels`` the image pixels that the galaxy's 424-pixel frame covers (else its larger side), and
    ``volunteers`` how many voted, by which galaxies are weighted.

    Raises
    ------
    InputError
        As of `read_votes`, or if `frame_pixels` or `volunteers` aren't numbers from 0.
    """
    uri = storage.join(folder, table)
    read = read_votes(uri, tree)
    frames = _optional(read, "frame_pixels", np.nan)
    volunteers = _optional(read, "volunteers", 1.0)
    if not volunteers.sum() > 0:
        raise InputError(f"{uri}: volunteers sum to {volunteers.sum():g}; expected some")
    paths = [f"{IMAGES_FOLDER}/{name}.jpg" for name in read.ids]
    if "image" in read.frame.columns:
        given = zip(read.frame["image"], paths, strict=True)
        paths = [path if pd.isna(own) else str(own) for own, path in given]
    return Labels(
        ids=read.ids,
        images=tuple(image_uri(folder, path) for path in paths),
        frames=frames,
        votes=read.votes,
        weights=(volunteers / volunteers.mean()).astype(np.float32),
    )


def image_uri(folder: str, path: str) -> str:
    """Where an image is that a table in a folder names."""
    return path if path.startswith("/") or "://" in path else storage.join(folder, path)


def _optional(read: VoteTable, column: str, default: float) -> NDArray[np.float64]:
    if column not in read.frame.columns:
        return np.full(len(read.ids), default)
    values = read.numbers([column], sys.float_info.max, "a number from 0")[:, 0]
    return np.where(np.isnan(values), default, values)
