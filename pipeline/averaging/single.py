"""The view as it is: one pass of each network, no transforms."""

from __future__ import annotations

import torch
from torch import Tensor

from pipeline.averaging.cores import map_chunks
from pipeline.averaging.naive import naive_with_hidden
from pipeline.geometry import IDENTITY
from pipeline.network import RegionBatch, ViewpointNetwork, ViewpointSampler

_GALAXIES_AT_ONCE = 16
"""Each has sixteen viewpoints."""


class SingleView:
    """The mean over networks of their answers for galaxies as they are seen; no mean over transforms.

    Parameters
    ----------
    networks
        In evaluation mode, on one device.
    dtype
        Data type to compute in.
    """

    def __init__(self, *networks: ViewpointNetwork, dtype: torch.dtype) -> None:
        self._networks = [network.lowered(dtype) for network in networks]
        self._device = networks[0].device
        self._sampler = ViewpointSampler().to(self._device)

    def __call__(self, regions: RegionBatch) -> Tensor:
        """Answer probabilities (n, answers), float32."""
        return self.with_hidden(regions)[0]

    def with_hidden(self, regions: RegionBatch) -> tuple[Tensor, Tensor]:
        """These, and activations of the first network's last hidden layer (n, units), float32."""
        chunks = map_chunks(self._once, regions, _GALAXIES_AT_ONCE, self._device)
        answers, hidden = (torch.cat(parts) for parts in zip(*chunks, strict=True))
        return answers, hidden

    def _once(self, regions: RegionBatch) -> tuple[Tensor, Tensor]:
        each = [naive_with_hidden(network, self._sampler, regions, (IDENTITY,)) for network in self._networks]
        return torch.stack([answers for answers, _ in each]).mean(0), each[0][1]
