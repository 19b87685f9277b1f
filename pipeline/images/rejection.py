"""Whether what is in the middle of a frame is a galaxy: stars, trails, halos and empty sky are none.

Boosted trees (Friedman 2001) read the measures of `Scrutiny`; rules then say what it is instead. The trees
are in ``configs/rejection.json``, which ``jobs/recipes/rejection.py`` makes.
"""

from __future__ import annotations

import functools
import hashlib
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from pipeline.config import CONFIGS, StrictModel
from pipeline.images.scrutiny import Scrutiny, scrutinise

NONE = "none"
REASONS = (NONE, "star", "blend", "trail", "saturated", "empty")
"""What a picture can be rejected for, after `NONE`, which is a galaxy's."""

_FILE = CONFIGS / "rejection.json"
_TRAIL = 0.75
_SATURATED, _BRIGHT_SKY = 0.01, 60.0
_FAR, _FAINT = 6.0, 1.6
_ALIKE = -1.5
_GREENEST = 0.48
"""Share of light in the middle colour that no star or galaxy has, because spectra are smooth. Ghosts of
bright stars, which a camera shows in one band, have more; and of 1,723 galaxies that were learnt from, one
has, in a frame that lacks a band in places."""


class Verdict(NamedTuple):
    """What is said of a picture.

    Attributes
    ----------
    rejection
        One of `REASONS`.
    not_galaxy
        Probability that what is in the middle is no galaxy, from 0 to 1.
    point_ratio
        Its half-light radius over that of the most compact other source of the picture; 0 where none is
        bright enough.
    trail
        Largest share of a line across the frame that stands out from what is beside it.
    saturated
        Share of the frame's pixels that are at their brightest.
    neighbour
        Light of the brightest neighbour within 0.3 frames over its own.
    """

    rejection: str
    not_galaxy: float
    point_ratio: float
    trail: float
    saturated: float
    neighbour: float


MEASURED = Verdict._fields[1:]


class Tree(StrictModel):
    """A tree of decisions, all nodes in one list; a leaf asks nothing and leads to itself.

    Attributes
    ----------
    measure
        Index in `Scrutiny` of what each node asks for.
    most
        A node's left branch is for what is not above this.
    left, right
        Where branches lead to.
    value
        What a leaf adds to the logarithm of the odds.
    """

    measure: tuple[int, ...]
    most: tuple[float, ...]
    left: tuple[int, ...]
    right: tuple[int, ...]
    value: tuple[float, ...]


class Rejection(StrictModel):
    """Trees whose sum tells galaxies from what is none.

    Attributes
    ----------
    measures
        Names of the measures that were learnt from.
    start
        Logarithm of the odds before any tree is asked.
    threshold
        Probability above which a picture is rejected.
    depth
        Of the deepest tree.
    """

    measures: tuple[str, ...]
    start: float
    threshold: float = Field(gt=0, lt=1)
    depth: int = Field(gt=0)
    trees: tuple[Tree, ...]

    @property
    def sha256(self) -> str:
        """Digest of all of it, for the fingerprint of a run."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()

    @functools.cached_property
    def _nodes(self) -> tuple[NDArray[np.float64] | NDArray[np.int64], ...]:
        """Nodes of all trees behind one another: measure, most, left, right, value, and each tree's first."""
        first = np.cumsum([0, *(len(tree.measure) for tree in self.trees)])[:-1]
        pairs = list(zip(first.tolist(), self.trees, strict=True))
        return (
            np.array([measure for tree in self.trees for measure in tree.measure]),
            np.array([most for tree in self.trees for most in tree.most]),
            np.array([start + node for start, tree in pairs for node in tree.left]),
            np.array([start + node for start, tree in pairs for node in tree.right]),
            np.array([value for tree in self.trees for value in tree.value]),
            first,
        )

    def not_galaxy(self, seen: Scrutiny) -> float:
        """Probability that what was measured is no galaxy."""
        measure, most, left, right, value, node = self._nodes
        values = np.asarray(seen)
        for _ in range(self.depth):
            node = np.where(values[measure[node]] <= most[node], left[node], right[node])
        return float(1 / (1 + np.exp(-(self.start + value[node].sum()))))

    def verdict(self, seen: Scrutiny) -> Verdict:
        """What is to be said of a picture."""
        probability = self.not_galaxy(seen)
        probability = max(probability, float(seen.sources == 0 or _is_ghost(seen)))
        rejected = probability > self.threshold
        return Verdict(
            rejection=_reason(seen) if rejected else NONE,
            not_galaxy=round(probability, 4),
            point_ratio=round(seen.point_ratio, 4),
            trail=round(seen.line, 4),
            saturated=round(seen.saturated, 5),
            neighbour=round(float(np.exp(seen.near)), 4) if seen.sources > 1 else 0.0,
        )


def _is_ghost(seen: Scrutiny) -> bool:
    """Whether the light in the middle is of a colour that the sky has not."""
    return seen.red > 0 and 1 - seen.red - seen.blue > _GREENEST


def _reason(seen: Scrutiny) -> str:
    """What a picture without a galaxy most likely shows."""
    if seen.line > _TRAIL:
        return "trail"
    if seen.distance > _FAR or seen.peak < _FAINT:
        return "empty"
    if seen.saturated > _SATURATED or _is_ghost(seen) or seen.sky > _BRIGHT_SKY:
        return "saturated"
    return "blend" if seen.nearer > _ALIKE else "star"


@functools.cache
def load_rejection() -> Rejection:
    """What comes along."""
    return Rejection.model_validate_json(_FILE.read_bytes())


def verdict_on(
    image: NDArray[np.uint8],
    center: tuple[float, float] | None = None,
    frame_pixels: float | None = None,
) -> Verdict:
    """What is to be said of a galaxy's picture, by what comes along.

    Parameters
    ----------
    image, center, frame_pixels
        See `scrutinise`.
    """
    return load_rejection().verdict(scrutinise(image, center, frame_pixels))
