"""Galaxies on the way to the device that trains on them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import torch
from torch import Tensor

from pipeline.training.galaxies import LabelledGalaxies
from pipeline.training.order import Order

Source = Callable[[Tensor, int], LabelledGalaxies]
"""Gives the galaxies of some rows, given also how many examples were shown before."""

_Arriving = tuple[LabelledGalaxies, torch.cuda.Event | None]

_RESIDENT_SHARE = 0.6
"""The part of a GPU's free memory that galaxies may take for good: what training takes is to fit beside."""


class Feed:
    """Gives the galaxies of each batch, in parts, on the device that trains.

    Parameters
    ----------
    order
        Which galaxies each batch shows.
    source
        Is asked for each part once, in the order in which they are shown.
    device
        Where they are wanted.
    micro_batch
        Most examples of a part; all that are this worker's if None.
    ahead
        Whether the next part is gathered, and copied to a GPU, while this one is trained on.

    Attributes
    ----------
    order, ahead
        As given.
    seconds_waited
        Spent on waiting for galaxies.
    """

    def __init__(
        self,
        order: Order,
        source: Source,
        device: torch.device,
        micro_batch: int | None = None,
        ahead: bool = False,
    ) -> None:
        self.order, self.ahead, self.seconds_waited = order, ahead, 0.0
        self._source, self._device = source, device
        self._parts = order.part.split(micro_batch or order.batch_size)
        self._gathered = _Ahead(self._load, device) if ahead else None

    @property
    def parts(self) -> int:
        """In how many parts a batch comes."""
        return len(self._parts)

    @property
    def sizes(self) -> set[int]:
        """How many examples parts have."""
        return {len(part) for part in self._parts}

    def batch(self, seen: int, last: bool = False) -> Iterator[tuple[Tensor, LabelledGalaxies]]:
        """Give this worker's parts of the batch that is shown once `seen` examples have been.

        Parameters
        ----------
        last
            Whether no batch comes after it.

        Yields
        ------
        Tensor, int64
            Which examples of the batch they are.
        LabelledGalaxies
            On the device.
        """
        for number, part in enumerate(self._parts):
            started = time.perf_counter()
            galaxies = self._take(seen, number, last)
            self.seconds_waited += time.perf_counter() - started
            yield part, galaxies

    def _take(self, seen: int, number: int, last: bool) -> LabelledGalaxies:
        if self._gathered is None:
            return self._load(seen, number).to(self._device)
        galaxies = self._gathered.take(seen, number)
        if number + 1 < len(self._parts):
            self._gathered.begin(seen, number + 1)
        elif not last:
            self._gathered.begin(seen + self.order.batch_size, 0)
        return galaxies

    def _load(self, seen: int, number: int) -> LabelledGalaxies:
        return self._source(self.order.batch(seen)[self._parts[number]], seen)


class _Ahead:
    """Gathers parts by a thread of its own; for a GPU in pinned memory, from which a stream copies them."""

    def __init__(self, load: Callable[[int, int], LabelledGalaxies], device: torch.device) -> None:
        self._load, self._device = load, device
        self._copies = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._thread = ThreadPoolExecutor(1, "galaxies")
        self._begun: dict[tuple[int, int], Future[_Arriving]] = {}

    def begin(self, seen: int, number: int) -> None:
        self._begun = {(seen, number): self._thread.submit(self._gather, seen, number)}

    def take(self, seen: int, number: int) -> LabelledGalaxies:
        if (seen, number) not in self._begun:
            self.begin(seen, number)
        galaxies, arrived = self._begun[seen, number].result()
        if arrived is not None:
            work = torch.cuda.current_stream(self._device)
            work.wait_event(arrived)
            for tensor in galaxies.tensors():
                tensor.record_stream(work)  # lest its memory be given away while it is worked on
        return galaxies

    def _gather(self, seen: int, number: int) -> _Arriving:
        galaxies = self._load(seen, number)
        if self._copies is None:
            return galaxies.gathered(), None
        pinned = galaxies.gathered(pinned=True)
        with torch.cuda.device(self._device), torch.cuda.stream(self._copies):
            return pinned.to(self._device), self._copies.record_event()


def feed_of(
    galaxies: LabelledGalaxies,
    order: Order,
    device: torch.device,
    micro_batch: int | None = None,
    stays: bool | None = None,
) -> Feed:
    """A feed of galaxies in the host's memory; of a copy on a GPU where there is room for all.

    Parameters
    ----------
    stays
        Whether they are copied there for good; if None, whether there is room.
    """
    if resident(galaxies.regions.nbytes, device) if stays is None else stays:
        galaxies = galaxies.to(device)
    ahead = galaxies.votes.device.type != device.type
    return Feed(order, lambda rows, _: galaxies[rows], device, micro_batch, ahead)


def resident(nbytes: int, device: torch.device) -> bool:
    """Whether galaxies of so many bytes may stay on a GPU, each worker's on its own."""
    if device.type != "cuda":
        return False
    free, _ = torch.cuda.mem_get_info(device)
    return nbytes <= _RESIDENT_SHARE * free
