"""Found clumps against known ones: which match, and so how complete and how pure a list is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

MATCH_RADIUS = 10.0
"""Most frame pixels between a clump and what was found for it: about the width of a point."""

UNKNOWN = -2
"""Stands for a found clump that lies where nobody knows what is there."""


def match(
    found: ArrayLike,
    known: ArrayLike,
    radius: float = MATCH_RADIUS,
    unknown: ArrayLike = (),
) -> NDArray[np.int64]:
    """The known clump of each that was found: in the order given, each goes to the nearest still free.

    Parameters
    ----------
    found, known, unknown : array_like, shape (n, 2)
        (x, y); the surest first. Found ones near `unknown` places count neither for nor against.

    Returns
    -------
    ndarray, shape (found,), int64
        The place among `known`; -1 for none, `UNKNOWN` for one near an unknown place.

    Examples
    --------
    >>> match([[0, 0], [1, 0], [50, 0]], [[0, 1]], 5, unknown=[[51, 0]]).tolist()
    [0, -1, -2]
    """
    ours, theirs, others = (np.asarray(places, float).reshape(-1, 2) for places in (found, known, unknown))
    matches = np.full(len(ours), -1)
    free = np.ones(len(theirs), bool)
    for number, place in enumerate(ours):
        distance = np.where(free, np.hypot(*(theirs - place).T), np.inf)
        if len(distance) and distance.min() <= radius:
            matches[number] = distance.argmin()
            free[matches[number]] = False
        elif len(others) and np.hypot(*(others - place).T).min() <= radius:
            matches[number] = UNKNOWN
    return matches


@dataclass
class Score:
    """Completeness and purity, counted galaxy by galaxy.

    Attributes
    ----------
    ratios, recovered
        Flux ratio of each known clump, and whether it was found.
    found_ratios, right
        Flux ratio of each found clump as measured, and whether it is a known one.
    """

    ratios: list[float]
    recovered: list[bool]
    found_ratios: list[float]
    right: list[bool]

    @classmethod
    def empty(cls) -> Score:
        """A score of no galaxy."""
        return cls([], [], [], [])

    def add(
        self,
        matches: NDArray[np.int64],
        ratios: ArrayLike,
        found_ratios: ArrayLike,
    ) -> None:
        """Count one galaxy."""
        own = np.asarray(ratios, float)
        self.ratios += own.tolist()
        self.recovered += np.isin(np.arange(len(own)), matches).tolist()
        counted = matches != UNKNOWN
        self.found_ratios += np.asarray(found_ratios, float)[counted].tolist()
        self.right += (matches[counted] >= 0).tolist()

    def completeness(self, least: float = 0.0, most: float = np.inf) -> float:
        """Share of the known clumps with flux ratios in [least, most) that were found; NaN of none."""
        return _share(self.ratios, self.recovered, least, most)

    def purity(self, least: float = 0.0, most: float = np.inf) -> float:
        """Share of what was found, with measured ratios in [least, most), that is known; NaN of none."""
        return _share(self.found_ratios, self.right, least, most)


def _share(values: list[float], good: list[bool], least: float, most: float) -> float:
    of_range = np.asarray(values)
    inside = (of_range >= least) & (of_range < most)
    return float(np.asarray(good)[inside].mean()) if inside.any() else float("nan")
