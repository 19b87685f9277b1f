"""How the values of a chunk lie between the kernels, and what one step of the work is.

A *set* is the sixteen viewpoints of one galaxy under one transform.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor

from pipeline.geometry import CROP_PIXELS

CROPS = 2
"""Crops of a set: A, upright, and B, turned by 45°."""

PIXEL = 4
"""Values of a crop's pixel: red, green, blue and a zero, so that two pixels are a load of 16 bytes."""

PITCH = 72
"""Pixels from one row of a crop to the next: its own and three of zeros, which windows may touch."""

CROP = CROP_PIXELS * PITCH * PIXEL
"""Values of a crop."""

Work = Callable[[Tensor, Tensor, int], None]
"""Computes what a step leaves in its target, the second, from its source, the first, for so many sets."""


@dataclass(frozen=True)
class Step:
    """A part of the work that is done for a whole chunk at once, from one buffer to another.

    Attributes
    ----------
    name
        What it computes, unique within a network.
    shape
        All that its time depends on but the number of sets.
    values
        Values that it leaves for each set.
    variants
        Several ways to do it, by name, of which the fastest is to be taken: each prepares its weights when
        it is called, and gives what does the work.
    """

    name: str
    shape: tuple[int | str, ...]
    values: int
    variants: Mapping[str, Callable[[], Work]]


def power_of_two(count: int) -> int:
    """The smallest power of two that isn't less than a count."""
    return 1 << max(count - 1, 0).bit_length()


def blocks(count: int, size: int) -> int:
    """How many blocks of a size hold a count."""
    return -(-count // size)
