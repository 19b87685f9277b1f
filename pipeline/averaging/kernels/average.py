"""The mean over sixty transforms by kernels for GPUs, in float16 or bfloat16 with sums in float32."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from pipeline.averaging.cores import map_chunks
from pipeline.averaging.kernels.choice import attempt, choose
from pipeline.averaging.kernels.dense import ORDERS
from pipeline.averaging.kernels.layout import CROP, CROPS, Step, Work
from pipeline.averaging.kernels.sampling import Sampling
from pipeline.averaging.kernels.steps import steps_of
from pipeline.averaging.kernels.tail import inactive_layer, mean_hidden
from pipeline.averaging.shared import refuse_training
from pipeline.geometry import CROP_PIXELS, Transform, distinct_transforms
from pipeline.network import RegionBatch, ViewpointNetwork

_GALAXIES_AT_ONCE = 256

Result = TypeVar("Result")


class Buffers:
    """What lies between the steps: crops, and two buffers that are source and target in turn.

    Parameters
    ----------
    sets
        Sets of viewpoints of a galaxy.
    values
        The most that any step leaves of a set.
    """

    def __init__(self, sets: int, values: int, dtype: torch.dtype, device: torch.device) -> None:
        self._crops, self._values = sets * CROPS * CROP, sets * values
        self._galaxies = 0
        self.crops, *self.turns = (torch.empty(0, dtype=dtype, device=device) for _ in range(3))

    def hold(self, galaxies: int) -> None:
        """Make room for so many galaxies, and one more: kernels may take a few crops too many."""
        if galaxies > self._galaxies:
            self._galaxies = galaxies
            self.crops = self.crops.new_zeros((galaxies + 1) * self._crops)
            self.turns = [self.crops.new_empty((galaxies + 1) * self._values) for _ in range(2)]


class ChosenStep(NamedTuple):
    """A step of one network: its place among the network's steps, and the variant that does its work."""

    network: int
    position: int
    last: bool
    name: str
    variant: str
    work: Work


class KernelAverage:
    """The mean over the sixty transforms, and over networks, as `SharedAverage` gives it but for rounding.

    Several networks share sampling and buffers, and run back to back. Calls must follow each other on one
    stream: they use the same buffers. See `use_precision`, by which torch's products are summed in float32.

    Parameters
    ----------
    networks
        In evaluation mode, on one device: a GPU by CUDA, or the CPU in Triton's interpreter. Later changes
        to their weights aren't seen.
    dtype
        float16 or bfloat16: data type of pixels, weights and activations.
    galaxies_at_once
        Galaxies for which there are buffers.
    transforms
        The distinct ones, each of which stands for all of its four symmetries.

    Attributes
    ----------
    steps : tuple of ChosenStep
        The steps of all networks, in the order of the work.

    Raises
    ------
    ValueError
        If a network is in training mode: its dropout would make the mean a random one.
    NoVariantError
        If the sampling, or a step in any of its variants, can't be compiled or launched here.
    torch.OutOfMemoryError
        If the GPU has too little memory for the buffers.
    """

    def __init__(
        self,
        *networks: ViewpointNetwork,
        dtype: torch.dtype,
        galaxies_at_once: int = _GALAXIES_AT_ONCE,
        transforms: Sequence[Transform] = distinct_transforms(),
    ) -> None:
        refuse_training(networks)
        self.device, self.dtype = networks[0].device, dtype
        self.galaxies_at_once = galaxies_at_once
        self._networks, self._answers = len(networks), networks[0].tree.answer_count
        self._sets = len(transforms)
        self._units, self._inactive = networks[0].last.in_features, inactive_layer(networks[0])
        with torch.inference_mode(), torch.cuda.device_of(networks[0].last.weight):
            self._sampling = Sampling(transforms, dtype, self.device)
            steps = [steps_of(network, dtype, self._sets) for network in networks]
            values = max(step.values for every in steps for step in every)
            self._buffers = Buffers(self._sets, values, dtype, self.device)
            self._buffers.hold(galaxies_at_once if self.device.type == "cuda" else 1)
            attempt("sampling", lambda: self._sampling(_one_galaxy(self.device), self._buffers.crops))
            self._buffers.crops.uniform_()  # pixels, for the steps to be measured on
            self.steps = tuple(
                self._chosen(network, position, step, last=step is every[-1])
                for network, every in enumerate(steps)
                for position, step in enumerate(every)
            )

    def __call__(self, regions: RegionBatch) -> Tensor:
        """Mean answer probabilities.

        Returns
        -------
        Tensor, shape (n, answers), float32
        """
        return self.each(regions).mean(0)

    def with_hidden(self, regions: RegionBatch) -> tuple[Tensor, Tensor]:
        """Mean answer probabilities, and what the first network makes of the galaxies on the way to them.

        Returns
        -------
        answers : Tensor, shape (n, answers), float32
            Those of a plain call.
        hidden : Tensor, shape (n, units), float32
            Mean activations of the first network's last hidden layer.
        """
        chunks = zip(*self._map(self._chunk_with_hidden, regions), strict=True)
        answers, hidden = (torch.cat(parts, dim=-2) for parts in chunks)
        return answers.mean(0), hidden

    def each(self, regions: RegionBatch) -> Tensor:
        """Mean answer probabilities of each network.

        Returns
        -------
        Tensor, shape (networks, n, answers), float32
        """
        return torch.cat(self._map(self._chunk, regions), dim=1)

    def stages(self, regions: RegionBatch) -> dict[str, Callable[[], object]]:
        """Calls that each do the work up to the end of one stage, to be timed.

        A stage is the sampling or a step of a network.
        """
        names = ["sampling"] + [
            step.name if self._networks == 1 else f"network {step.network + 1}, {step.name}"
            for step in self.steps
        ]
        return {
            name: functools.partial(self._map, functools.partial(self._chunk, end=end), regions)
            for end, name in enumerate(names)
        }

    def _map(self, work: Callable[[RegionBatch], Result], regions: RegionBatch) -> list[Result]:
        size = self.galaxies_at_once
        if self.device.type == "cuda":
            with torch.cuda.device_of(self._buffers.crops):
                return map_chunks(work, regions, size, self.device)
        # One after another: threads would share the buffers.
        return [work(regions[start : start + size]) for start in range(0, max(len(regions), 1), size)]

    @torch.inference_mode()
    def _chunk_with_hidden(self, regions: RegionBatch) -> tuple[Tensor, Tensor]:
        """Answers (networks, n, answers), and the first network's mean last hidden layer (n, units)."""
        hidden = self._buffers.crops.new_zeros((len(regions), self._units), dtype=torch.float32)
        return self._chunk(regions, hidden=hidden), hidden

    @torch.inference_mode()
    def _chunk(self, regions: RegionBatch, end: int | None = None, hidden: Tensor | None = None) -> Tensor:
        """Answers (networks, n, answers) after the first so many steps, or after all.

        Parameters
        ----------
        hidden
            Takes the first network's mean last hidden layer, if it is wanted.
        """
        answers = self._buffers.crops.new_zeros(
            (self._networks, len(regions), self._answers), dtype=torch.float32
        )
        if len(regions):
            self._buffers.hold(len(regions))
            self._sampling(regions, self._buffers.crops)
            for step in self.steps[:end]:
                source, target = self._ends(step.position, step.last, answers[step.network])
                step.work(source, target, self._sets * len(regions))
                if hidden is not None and step.last and step.network == 0:
                    hidden.copy_(self._mean_hidden(source, len(regions)))
        return answers

    def _mean_hidden(self, source: Tensor, galaxies: int) -> Tensor:
        """The first network's mean last hidden layer, from what its last step reads."""
        layer, rows = self._inactive, ORDERS * self._sets * galaxies
        width = self._units if layer is None else layer.linear.out_features
        return mean_hidden(source[: rows * width].view(ORDERS, -1, width), layer, self._sets)

    def _chosen(self, network: int, position: int, step: Step, last: bool) -> ChosenStep:
        def trial(work: Work) -> None:
            answers = torch.empty(self.galaxies_at_once, self._answers, device=self.device)
            work(*self._ends(position, last, answers), sets)

        sets = self._sets * self.galaxies_at_once
        chosen = choose(step, trial, self.device, self.dtype, sets)
        return ChosenStep(network, position, last, step.name, *chosen)

    def _ends(self, position: int, last: bool, answers: Tensor) -> tuple[Tensor, Tensor]:
        """Source and target of a network's step, by its position among them."""
        source = self._buffers.turns[(position + 1) % 2] if position else self._buffers.crops
        return source, answers if last else self._buffers.turns[position % 2]


def _one_galaxy(device: torch.device) -> RegionBatch:
    side = CROP_PIXELS
    return RegionBatch(
        torch.zeros((1, side, side, 3), dtype=torch.uint8, device=device),
        torch.full((1, 2), side / 2, dtype=torch.float64, device=device),
        torch.ones(1, dtype=torch.float64, device=device),
    )
