"""Averaging over sixty transforms with the convolutions of fifteen.

A rotation by 180° and a mirror only reorder the sixteen viewpoints, so sixty inputs hold fifteen distinct
sets of viewpoints. Resampling and convolutions run on these; the dense layers see all sixty orders.

The first dense layer sums W[v]·f[p(v)] over viewpoints v for each of the four reorderings p: a convolution
over the Klein four-group, which acts freely on the viewpoints (four orbits of four). A Walsh–Hadamard
transform of features and weights over each orbit turns its sixteen block products into four.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from pipeline.geometry import SYMMETRY_PERMUTATIONS, VIEWPOINTS, distinct_transforms
from pipeline.network import Dense, RegionBatch, ViewpointNetwork, ViewpointSampler

_HADAMARD = torch.tensor([[1.0, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]])
"""Characters of the Klein four-group {1, 180°, mirror, both}: row χ, column group element."""


def _orbits() -> Tensor:
    """Viewpoints by orbit and symmetry, shape (4, 4): [o, g] is the orbit's first viewpoint moved by g."""
    seen: set[int] = set()
    rows = []
    for first in range(VIEWPOINTS):
        if first not in seen:
            row = SYMMETRY_PERMUTATIONS[:, first]
            rows.append(row)
            seen.update(row.tolist())
    return torch.from_numpy(np.stack(rows))


class SharedAverage(nn.Module):
    """The mean over the sixty transforms, equal to `naive_average` but for rounding.

    Parameters
    ----------
    network
        In evaluation mode. Its first dense layer is transformed once, here; later changes to its weights go
        unseen.
    galaxies_at_once
        Galaxies whose viewpoints are in memory together.

    Raises
    ------
    ValueError
        If the network is in training mode: its dropout would make the mean a random one.
    """

    orbits: Tensor
    hadamard: Tensor
    weight: Tensor

    def __init__(self, network: ViewpointNetwork, galaxies_at_once: int = 4) -> None:
        super().__init__()
        if network.training:
            raise ValueError("the network is in training mode; call its eval() before averaging")
        self.network = network
        self.sampler = ViewpointSampler().to(network.last.weight.device)
        self.galaxies_at_once = galaxies_at_once
        self.transforms = distinct_transforms()
        orbits = _orbits()
        first = network.dense_layers[0].linear
        hadamard = _HADAMARD.to(first.weight.device)
        by_viewpoint = first.weight.detach().float().unflatten(1, (VIEWPOINTS, -1))
        weight = torch.einsum("xg,hogf->xofh", hadamard, by_viewpoint[:, orbits]) / 4
        self.register_buffer("orbits", orbits.to(first.weight.device), persistent=False)
        self.register_buffer("hadamard", hadamard, persistent=False)
        self.register_buffer("weight", weight.flatten(1, 2).to(network.dtype).contiguous(), persistent=False)

    @torch.inference_mode()
    def forward(self, regions: RegionBatch) -> Tensor:
        """Mean answer probabilities.

        Returns
        -------
        Tensor, shape (n, answers), float32
        """
        chunks = range(0, max(len(regions), 1), self.galaxies_at_once)
        return torch.cat([self._average(regions[start : start + self.galaxies_at_once]) for start in chunks])

    def _average(self, regions: RegionBatch) -> Tensor:
        features = self.network.viewpoint_features(self.sampler(regions, self.transforms))
        first, *others = self.network.dense_layers
        x = first.activate(self._first_layer(features.flatten(0, 1), first))
        probabilities: Tensor = self.network.output(self.network.raw_after(x, others))
        return torch.mean(probabilities.unflatten(1, (len(regions), len(self.transforms))), dim=(0, 2))

    def _first_layer(self, features: Tensor, first: Dense) -> Tensor:
        """Features (m, 16, f) → values of the first dense layer in the four orders, (4, m, units)."""
        orbits = features[:, self.orbits]
        transformed = torch.einsum("xg,mogf->xmof", self.hadamard.to(features.dtype), orbits)
        products = torch.bmm(transformed.flatten(2), self.weight)
        inverse = torch.einsum("xg,xmh->gmh", self.hadamard.to(products.dtype), products)
        return inverse + first.linear.bias
