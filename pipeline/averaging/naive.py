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
    return naive_with_hidden(network, sampler, regions, transforms)[0]


@torch.inference_mode()
def naive_with_hidden(
    network: ViewpointNetwork,
    sampler: ViewpointSampler,
    regions: RegionBatch,
    transforms: Sequence[Transform] = averaging_transforms(),
) -> tuple[Tensor, Tensor]:
    """Means over transforms: of the answer probabilities, and of the last hidden layer's activations.

    Returns
    -------
    answers : Tensor, shape (n, answers), float32
        Those of `naive_average`.
    hidden : Tensor, shape (n, units), float32
    """
    answers, hidden = torch.zeros(()), torch.zeros(())
    for transform in transforms:
        features = network.viewpoint_features(sampler(regions, [transform])[:, 0])
        last = network.hidden(features)
        answers = answers + network.output(network.raw_of_hidden(last))
        hidden = hidden + last.float()
    return answers / len(transforms), hidden / len(transforms)
