"""Averaging over sixty transforms with the convolutions of fifteen, for one network or many.

A rotation by 180° and a mirror only reorder the sixteen viewpoints, so sixty inputs hold fifteen distinct
sets of viewpoints. Resampling and convolutions run on these; the dense layers see all sixty orders.

The first dense layer sums W[v]·f[p(v)] over viewpoints v for each of the four reorderings p: a convolution
over the Klein four-group, which acts freely on the viewpoints (four orbits of four). A Walsh–Hadamard
transform of features and weights over each orbit turns its sixteen block products into four.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import TypeVar, cast

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.averaging.cores import map_chunks
from pipeline.geometry import SYMMETRY_PERMUTATIONS, VIEWPOINTS, averaging_transforms, distinct_transforms
from pipeline.network import Dense, NetworkSpec, RegionBatch, ViewpointNetwork, ViewpointSampler

HADAMARD = torch.tensor([[1.0, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]])
"""Characters of the Klein four-group {1, 180°, mirror, both}: row χ, column group element."""

_GALAXIES_AT_ONCE = {"cpu": 4, "cuda": 256}

Result = TypeVar("Result")


def orbits() -> Tensor:
    """Viewpoints by orbit and symmetry, shape (4, 4): [o, g] is the orbit's first viewpoint moved by g."""
    seen: set[int] = set()
    rows = []
    for first in range(VIEWPOINTS):
        if first not in seen:
            row = SYMMETRY_PERMUTATIONS[:, first]
            rows.append(row)
            seen.update(row.tolist())
    return torch.from_numpy(np.stack(rows))


def refuse_training(networks: Sequence[ViewpointNetwork]) -> None:
    """Refuse networks in training mode, whose dropout would make the mean a random one.

    Raises
    ------
    ValueError
        If there's any.
    """
    if any(network.training for network in networks):
        raise ValueError("the network is in training mode; call its eval() before averaging")


class SharedAverage(nn.Module):
    """The mean over the sixty transforms, and over networks; equal to `naive_average` but for rounding.

    Several networks share sampling and viewpoints, and run back to back on them.

    Parameters
    ----------
    networks
        In evaluation mode, on one device. Later changes to their weights may go unseen.
    dtype
        Data type to compute in; by default the networks' own.
    galaxies_at_once
        Galaxies whose viewpoints are in memory together, in each thread; by default 4 on a CPU and 256 on a
        GPU.
    compiler
        Backend of `torch.compile` that fuses what lies between the products: ``inductor``, which makes CUDA
        graphs as well. Needs a C++ compiler on a CPU. Batches are then of one size, the last one padded.

    Raises
    ------
    ValueError
        If a network is in training mode: its dropout would make the mean a random one.
    """

    grid: Tensor

    def __init__(
        self,
        *networks: ViewpointNetwork,
        dtype: torch.dtype | None = None,
        galaxies_at_once: int | None = None,
        compiler: str | Callable[..., object] | None = None,
    ) -> None:
        super().__init__()
        refuse_training(networks)
        self.dtype = dtype or networks[0].dtype
        self.networks = nn.ModuleList(SharedNetwork(network, self.dtype) for network in networks)
        self.device = networks[0].device
        self.sampler = ViewpointSampler().to(self.device)
        self.galaxies_at_once = galaxies_at_once or _GALAXIES_AT_ONCE[self.device.type]
        self.register_buffer("grid", self.sampler.grid(distinct_transforms()), persistent=False)
        self.compiled = compiler is not None
        if compiler is not None:
            mode = "max-autotune" if compiler == "inductor" and self.device.type == "cuda" else None
            fused = functools.partial(
                torch.compile, fullgraph=True, dynamic=False, backend=compiler, mode=mode
            )
            self._answers = fused(self._answers)  # type: ignore[method-assign]
            self._answers_and_hidden = fused(self._answers_and_hidden)  # type: ignore[method-assign]

    def forward(self, regions: RegionBatch) -> Tensor:
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
            Those of `forward`.
        hidden : Tensor, shape (n, units), float32
            Mean activations of the first network's last hidden layer.
        """
        chunks = zip(*self._map(self._each_with_hidden, regions), strict=True)
        answers, hidden = (torch.cat(parts, dim=-2)[..., : len(regions), :] for parts in chunks)
        return answers.mean(0), hidden

    def each(self, regions: RegionBatch) -> Tensor:
        """Mean answer probabilities of each network.

        Returns
        -------
        Tensor, shape (networks, n, answers), float32
        """
        chunks = self._map(self._each, regions)
        return torch.cat(chunks, dim=1)[:, : len(regions)]

    def stages(self, regions: RegionBatch) -> dict[str, Callable[[], object]]:
        """Calls that each do the work up to the end of one stage, to be timed."""

        @torch.inference_mode()
        def sample(chunk: RegionBatch) -> Tensor:
            return self._viewpoints(chunk)

        @torch.inference_mode()
        def convolve(chunk: RegionBatch) -> list[Tensor]:
            viewpoints = sample(chunk)
            return [shared.network.viewpoint_features(viewpoints) for shared in self._shared]

        works: dict[str, Callable[[RegionBatch], object]] = {
            "sampling": sample,
            "convolutions": convolve,
            "dense layers": self._each,
        }
        return {name: functools.partial(self._map, work, regions) for name, work in works.items()}

    @property
    def _shared(self) -> list[SharedNetwork]:
        return [cast(SharedNetwork, network) for network in self.networks]

    def _map(self, work: Callable[[RegionBatch], Result], regions: RegionBatch) -> list[Result]:
        return map_chunks(work, regions, self.galaxies_at_once, self.device, full=self.compiled)

    @torch.inference_mode()
    def _each(self, regions: RegionBatch) -> Tensor:
        return self._kept(self._answers(regions))

    @torch.inference_mode()
    def _each_with_hidden(self, regions: RegionBatch) -> tuple[Tensor, Tensor]:
        answers, hidden = self._answers_and_hidden(regions)
        return self._kept(answers), self._kept(hidden)

    def _kept(self, values: Tensor) -> Tensor:
        return values.clone() if self.compiled else values  # the next graph would overwrite them

    def _answers(self, regions: RegionBatch) -> Tensor:
        viewpoints = self._viewpoints(regions)
        return torch.stack([network(viewpoints) for network in self.networks])

    def _answers_and_hidden(self, regions: RegionBatch) -> tuple[Tensor, Tensor]:
        viewpoints = self._viewpoints(regions)
        first, *others = self._shared
        answers, hidden = first.with_hidden(viewpoints)
        return torch.stack([answers, *(network(viewpoints) for network in others)]), hidden

    def _viewpoints(self, regions: RegionBatch) -> Tensor:
        return self.sampler.viewpoints(self.sampler.sample(regions, self.grid).to(self.dtype))


class SharedNetwork(nn.Module):
    """One network's mean over sixty transforms, from the viewpoints of the fifteen distinct ones."""

    orbits: Tensor
    hadamard: Tensor
    weight: Tensor

    def __init__(self, network: ViewpointNetwork, dtype: torch.dtype) -> None:
        super().__init__()
        self.network = network if network.dtype == dtype else network.lowered(dtype)
        members = orbits()
        first = network.dense_layers[0].linear
        hadamard = HADAMARD.to(first.weight.device)
        by_viewpoint = first.weight.detach().float().unflatten(1, (VIEWPOINTS, -1))
        weight = torch.einsum("xg,hogf->xofh", hadamard, by_viewpoint[:, members]) / 4
        self.register_buffer("orbits", members.to(first.weight.device), persistent=False)
        self.register_buffer("hadamard", hadamard.to(dtype), persistent=False)
        self.register_buffer("weight", weight.flatten(1, 2).to(dtype).contiguous(), persistent=False)

    def forward(self, viewpoints: Tensor) -> Tensor:
        """Map viewpoints (n, 15, 16, 3, 45, 45) to mean answer probabilities (n, answers), float32."""
        return self._mean_answers(self._hidden(viewpoints), viewpoints)

    def with_hidden(self, viewpoints: Tensor) -> tuple[Tensor, Tensor]:
        """Mean answer probabilities (n, answers), and mean last hidden layer (n, units), both float32."""
        hidden = self._hidden(viewpoints)
        by_galaxy = hidden.unflatten(1, viewpoints.shape[:2])
        mean = torch.mean(by_galaxy, dim=(0, 2), dtype=torch.float32)
        return self._mean_answers(hidden, viewpoints), mean

    def _hidden(self, viewpoints: Tensor) -> Tensor:
        """The last hidden layer in the four orders, (4, n · 15, units)."""
        features = self.network.viewpoint_features(viewpoints)
        first, *others = self.network.dense_layers
        x = first.activate(self._first_layer(features.flatten(0, 1), first))
        return self.network.hidden_after(x, others)

    def _mean_answers(self, hidden: Tensor, viewpoints: Tensor) -> Tensor:
        probabilities: Tensor = self.network.output(self.network.raw_of_hidden(hidden))
        return torch.mean(probabilities.unflatten(1, viewpoints.shape[:2]), dim=(0, 2))

    def _first_layer(self, features: Tensor, first: Dense) -> Tensor:
        """Features (m, 16, f) → values of the first dense layer in the four orders, (4, m, units)."""
        orbits = features[:, self.orbits]
        transformed = torch.einsum("xg,mogf->xmof", self.hadamard, orbits)
        products = torch.bmm(transformed.flatten(2), self.weight)
        inverse = torch.einsum("xg,xmh->gmh", self.hadamard, products)
        return inverse + first.linear.bias


def multiply_adds(spec: NetworkSpec, answers: int) -> dict[str, int]:
    """Multiply-adds a galaxy of the shared form: its ``convolutions`` and ``dense`` layers.

    The convolutions and the first dense layer run for fifteen transforms, the other layers for sixty.
    """
    distinct, every = len(distinct_transforms()), len(averaging_transforms())
    first, *others = spec.dense_multiply_adds(answers)
    return {
        "convolutions": distinct * VIEWPOINTS * spec.viewpoint_multiply_adds,
        "dense": distinct * first + every * sum(others),
    }
