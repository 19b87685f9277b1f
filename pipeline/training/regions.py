"""Regions of galaxies in memory: all of one side in one tensor."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from pipeline.images import Region
from pipeline.network import RegionBatch

_Frame = tuple[tuple[float, float], float]

_LEAST_ROOM = 64
_COPIED_AT_ONCE = 64


@dataclass(frozen=True)
class Regions:
    """Regions of galaxies; what is chosen of them shares their pixels until it is gathered.

    Attributes
    ----------
    sides
        All regions of each side, on the host or on a GPU.
    side, place : Tensor, shape (n,), int64
        In which of `sides` each galaxy is, and where there; on the host.
    """

    sides: tuple[RegionBatch, ...]
    side: Tensor
    place: Tensor

    def __len__(self) -> int:
        return len(self.side)

    def __getitem__(self, rows: slice | Tensor) -> Regions:
        return Regions(self.sides, self.side[rows], self.place[rows])

    @property
    def nbytes(self) -> int:
        """Bytes of all pixels that are shared."""
        return sum(side.pixels.nbytes for side in self.sides)

    def by_side(
        self, at_once: int | None = None, pinned: bool = False
    ) -> Iterator[tuple[Tensor, RegionBatch]]:
        """Gather regions by side, as batches.

        Parameters
        ----------
        at_once
            Most of them in a batch.
        pinned
            Whether into memory that a GPU can copy from by itself.

        Yields
        ------
        rows : Tensor, shape (m,), int64
            Where they are among these.
        RegionBatch
            The m regions of that side.
        """
        for number, side in enumerate(self.sides):
            alike = torch.nonzero(self.side == number)[:, 0]
            for rows in alike.split(at_once or len(self)) if len(alike) else ():
                yield rows, _gathered(side, self.place[rows], pinned)

    def gathered(self, pinned: bool = False) -> Regions:
        """The same regions in tensors that hold no others (see `by_side`)."""
        sides: list[RegionBatch] = []
        number, place = torch.empty_like(self.side), torch.empty_like(self.place)
        for rows, batch in self.by_side(pinned=pinned):
            number[rows], place[rows] = len(sides), torch.arange(len(rows))
            sides.append(batch)
        return Regions(tuple(sides), number, place)

    def tensors(self) -> tuple[Tensor, ...]:
        """All tensors that may be on a device."""
        return tuple(tensor for side in self.sides for tensor in (side.pixels, side.center, side.scale))

    def to(self, device: torch.device) -> Regions:
        """These regions, with all that share their pixels, on a device (see `LabelledGalaxies.to`)."""
        return Regions(
            tuple(side.to(device, non_blocking=True) for side in self.sides), self.side, self.place
        )


def stacked(regions: Iterable[Region], most: int) -> Regions:
    """Put regions into one tensor a side as they come; no more than a fifth of the memory is spare meanwhile.

    Parameters
    ----------
    most
        How many come.
    """
    stacks: dict[int, _Stack] = {}
    side, place = [], []
    for region in regions:
        width = region.pixels.shape[0]
        stack = stacks.setdefault(width, _Stack(width, most))
        side.append(list(stacks).index(width))
        place.append(stack.add(region))
    return Regions(
        tuple(stack.batch() for stack in stacks.values()),
        torch.tensor(side, dtype=torch.int64),
        torch.tensor(place, dtype=torch.int64),
    )


def copied(regions: Sequence[Region], device: torch.device) -> Regions:
    """Copy regions that lie in memory to a device, a few at a time: they aren't there twice on the way."""
    widths = torch.tensor([region.pixels.shape[0] for region in regions], dtype=torch.int64)
    side, place = torch.empty_like(widths), torch.empty_like(widths)
    sides: list[RegionBatch] = []
    for width in widths.unique().tolist():
        alike = torch.nonzero(widths == width)[:, 0]
        side[alike], place[alike] = len(sides), torch.arange(len(alike))
        pixels = torch.empty((len(alike), width, width, 3), dtype=torch.uint8, device=device)
        for rows in torch.arange(len(alike)).split(_COPIED_AT_ONCE):
            few = np.stack([regions[row].pixels for row in alike[rows].tolist()])
            pixels[int(rows[0]) : int(rows[-1]) + 1] = torch.from_numpy(few).to(device)
        frames = _frames([(regions[row].center, regions[row].scale) for row in alike.tolist()])
        sides.append(RegionBatch(pixels, *(tensor.to(device) for tensor in frames)))
    return Regions(tuple(sides), side, place)


def sent(tensor: Tensor, device: torch.device) -> Tensor:
    """A small tensor of the host's on a device, without waiting for what that is at."""
    if device.type != "cuda" or tensor.device.type == "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


class _Stack:
    """Regions of one side, one after another in one array.

    It grows by `realloc`, by which large memory is moved and not copied, so that it is never there twice.
    """

    def __init__(self, width: int, most: int) -> None:
        self._pixels = np.empty((min(most, _LEAST_ROOM), width, width, 3), np.uint8)
        self._most = most
        self._frames: list[_Frame] = []

    def add(self, region: Region) -> int:
        place = len(self._frames)
        if place == len(self._pixels):
            self._resize(min(self._most, place + max(place // 4, _LEAST_ROOM)))
        self._pixels[place] = region.pixels
        self._frames.append((region.center, region.scale))
        return place

    def batch(self) -> RegionBatch:
        self._resize(len(self._frames))
        return RegionBatch(torch.from_numpy(self._pixels), *_frames(self._frames))

    def _resize(self, count: int) -> None:
        self._pixels.resize((count, *self._pixels.shape[1:]), refcheck=False)


def _frames(frames: Sequence[_Frame]) -> tuple[Tensor, Tensor]:
    """Centres and scales as a `RegionBatch` has them."""
    centers, scales = [center for center, _ in frames], [scale for _, scale in frames]
    return (
        torch.tensor(centers, dtype=torch.float64).reshape(-1, 2),
        torch.tensor(scales, dtype=torch.float64),
    )


def _gathered(side: RegionBatch, place: Tensor, pinned: bool) -> RegionBatch:
    if len(place) == len(side) and torch.equal(place, torch.arange(len(side))) and not pinned:
        return side
    if side.pixels.device.type == "cpu":
        center, scale = side.center[place], side.scale[place]
        if pinned:
            center, scale = center.pin_memory(), scale.pin_memory()
        return RegionBatch(_taken(side.pixels, place, pinned), center, scale)
    index = sent(place, side.pixels.device)
    return RegionBatch(side.pixels[index], side.center[index], side.scale[index])


def _taken(pixels: Tensor, place: Tensor, pinned: bool) -> Tensor:
    """``pixels[place]`` by NumPy, which copies whole rows, in as many threads as torch has."""
    shape = (len(place), *pixels.shape[1:])
    # NumPy's own memory comes in large pages.
    room = (
        torch.empty(shape, dtype=torch.uint8, pin_memory=True)
        if pinned
        else torch.from_numpy(np.empty(shape, np.uint8))
    )
    source, target = pixels.numpy(), room.numpy()

    def take(part: Tensor) -> None:
        if len(part):
            first, end = int(part[0]), int(part[-1]) + 1
            np.take(source, place[first:end].numpy(), axis=0, out=target[first:end], mode="clip")

    parts = torch.arange(len(place)).tensor_split(torch.get_num_threads())
    with ThreadPoolExecutor(len(parts), "gather") as threads:
        list(threads.map(take, parts))
    return room
