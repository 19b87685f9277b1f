"""Averaging as the paper describes it: one pass of the network a transform. The oracle of the shared form."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from pipeline.geometry import Transform, averaging_transforms
from pipeline.network import RegionBatch, ViewpointNetwork, ViewpointSampler


@torch.inference_mode()
def naive_average(
    network: ViewpointNetwork,
    sampler: ViewpointSampler,
    regions: RegionBatch,
    transforms: Sequence[Transform] = averaging_transforms(),
) -> Tensor:
    """Mean of the answer probabilities over transforms, unweighted, after the output layer.

    Returns
    -------
    Tensor, shape (n, answers), float32

    References
    ----------
    Dieleman, Willett & Dambre 2015, section 7.3.
    """
    total = sum(network(sampler(regions, [transform])[:, 0]) for transform in transforms)
    return torch.as_tensor(total) / len(transforms)
