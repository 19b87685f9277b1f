"""Labelled galaxies in the Galaxy Challenge's layout: a folder of images and a table of vote fractions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipeline.errors import InputError
from pipeline.images import ImageError, cut_region, decode_image
from pipeline.network import RegionBatch
from pipeline.tree import DecisionTree

LABELS_FILE = "training_solutions_rev1.csv"
IMAGES_FOLDER = "images_training_rev1"


@dataclass(frozen=True)
class LabelledGalaxies:
    """Galaxies in memory.

    Attributes
    ----------
    ids
        Their identifiers.
    regions
        Pixels, cut out as far as the augmentation reaches.
    votes : Tensor, shape (n, answers), float32
        Cumulative vote fractions in the order of the tree.
    """

    ids: tuple[int, ...]
    regions: RegionBatch
    votes: Tensor

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, rows: slice) -> LabelledGalaxies:
        """Neighbouring galaxies, which share their memory with these."""
        return LabelledGalaxies(self.ids[rows], self.regions[rows], self.votes[rows])

    def subset(self, rows: Tensor) -> LabelledGalaxies:
        """A copy of the galaxies of these rows."""
        r = self.regions
        return LabelledGalaxies(
            tuple(self.ids[i] for i in rows.tolist()),
            RegionBatch(r.pixels[rows], r.center[rows], r.scale[rows]),
            self.votes[rows],
        )


def read_labels(path: str | Path, tree: DecisionTree) -> tuple[tuple[int, ...], NDArray[np.float32]]:
    """Read a table ``GalaxyID, Class1.1, …`` of vote fractions.

    Returns
    -------
    ids, votes
        `votes` has shape (n, answers), in the order of the tree.

    Raises
    ------
    InputError
        If the file, its rows or a column are missing, an id isn't a whole number or appears twice, or a
        value isn't a fraction.
    """
    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read labels {path}: {' '.join(str(error).split())}") from error
    wanted = ["GalaxyID", *tree.class_columns]
    missing = [column for column in wanted if column not in table.columns]
    if missing:
        raise InputError(
            f"{path} lacks {len(missing)} of {len(wanted)} columns, first {missing[0]!r}; expected "
            f"GalaxyID and {tree.class_columns[0]} … {tree.class_columns[-1]}"
        )
    if table.empty:
        raise InputError(f"{path} holds no galaxies; expected one row for each")
    ids = pd.to_numeric(table["GalaxyID"], errors="coerce").to_numpy(np.float64)
    odd = np.flatnonzero(~(ids % 1 == 0))
    if len(odd):
        value = table["GalaxyID"].iloc[odd[0]]
        raise InputError(f"{path}: GalaxyID of row {odd[0] + 1} is {value}; expected a whole number")
    votes = (
        table[list(tree.class_columns)].apply(pd.to_numeric, errors="coerce").to_numpy(np.float32, copy=True)
    )
    bad = np.argwhere(~((votes >= 0) & (votes <= 1.0001)))
    if len(bad):
        row, column = bad[0]
        value = table[tree.class_columns[column]].iloc[row]
        raise InputError(
            f"{path}: {tree.class_columns[column]} of galaxy {table['GalaxyID'].iloc[row]} is {value}; "
            "expected a fraction between 0 and 1"
        )
    twice = table["GalaxyID"][table["GalaxyID"].duplicated()]
    if len(twice):
        raise InputError(f"{path}: galaxy {twice.iloc[0]} appears more than once; keep one row of it")
    return tuple(int(i) for i in table["GalaxyID"]), votes


def load_galaxies(folder: str | Path, tree: DecisionTree, reach: float) -> LabelledGalaxies:
    """Read a folder that holds ``training_solutions_rev1.csv`` and ``images_training_rev1/<GalaxyID>.jpg``.

    Parameters
    ----------
    reach
        How far from its centre each galaxy is kept, in frame pixels.

    Raises
    ------
    InputError
        If labels or an image are missing or bad, or the images differ in size.
    """
    ids, votes = read_labels(Path(folder) / LABELS_FILE, tree)
    regions = []
    for galaxy in ids:
        path = Path(folder) / IMAGES_FOLDER / f"{galaxy}.jpg"
        try:
            regions.append(cut_region(decode_image(path.read_bytes()), reach))
        except (OSError, ImageError) as error:
            raise InputError(f"cannot use {path} (a labelled galaxy): {error}") from error
        if regions[-1].pixels.shape != regions[0].pixels.shape:
            raise InputError(f"{path} has another size than the first image; all must have one size")
    batch = RegionBatch(
        torch.from_numpy(np.stack([region.pixels for region in regions])),
        torch.tensor([region.center for region in regions], dtype=torch.float64),
        torch.tensor([region.scale for region in regions], dtype=torch.float64),
    )
    return LabelledGalaxies(ids, batch, torch.from_numpy(votes))
