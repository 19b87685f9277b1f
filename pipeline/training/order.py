"""Which galaxies each step shows, and to which worker."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Order:
    """An order of examples without end: every pass shows each galaxy once, in an order of its own.

    Examples are counted over all workers, and which are shown doesn't depend on the number of these.

    Attributes
    ----------
    seed
        The recipe's seed.
    galaxies
        How many there are.
    batch_size
        Examples a step, over all workers.
    rank, world
        This worker's number and that of all workers: each gets its part of every batch.
    """

    seed: int
    galaxies: int
    batch_size: int
    rank: int = 0
    world: int = 1

    def batch(self, seen: int) -> Tensor:
        """Rows of a batch, of all workers, once so many examples have been shown."""
        rows, start, count = [], seen, self.batch_size
        while count:
            number, offset = divmod(start, self.galaxies)
            rows.append(_pass(self.seed, number, self.galaxies)[offset : offset + count])
            start, count = start + len(rows[-1]), count - len(rows[-1])
        return torch.cat(rows)

    @property
    def part(self) -> Tensor:
        """Which examples of every batch are this worker's."""
        return torch.arange(self.batch_size).tensor_split(self.world)[self.rank]


@functools.lru_cache(maxsize=2)
def _pass(seed: int, number: int, galaxies: int) -> Tensor:
    random = torch.Generator().manual_seed(mixed(seed, "pass", number))
    return torch.randperm(galaxies, generator=random)


def mixed(*parts: object) -> int:
    """A seed that no other parts are likely to give."""
    digest = hashlib.blake2b(repr(parts).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
