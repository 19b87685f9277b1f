"""Galaxies and networks with which a test of averaging means something, though nothing was trained."""

from __future__ import annotations

import math

import torch

from pipeline.geometry import averaging_transforms
from pipeline.network import NetworkSpec, RegionBatch, ViewpointNetwork, ViewpointSampler
from pipeline.tree import DecisionTree


def galaxies(n: int, side: int, scale: float, off: float = 0.0, seed: int = 0) -> RegionBatch:
    """Random images with structure on all scales."""
    random = torch.Generator().manual_seed(seed)
    image = torch.zeros(n, 3, side, side)
    for width in (4, 16, 64, side):
        coarse = torch.rand(n, 3, width, width, generator=random)
        image += torch.nn.functional.interpolate(coarse, (side, side), mode="bilinear")
    pixels = (image / 4 * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()
    middle = (side - 1) / 2
    center = torch.full((n, 2), middle, dtype=torch.float64) + off * torch.linspace(-1, 1, 2 * n).reshape(
        n, 2
    )
    return RegionBatch(pixels, center, torch.full((n,), scale, dtype=torch.float64))


def trained_like(spec: NetworkSpec, tree: DecisionTree, spread: float | None = 0.3) -> ViewpointNetwork:
    """A network whose units are alive and whose answers depend on the image.

    He's spreads, random biases, and raw values of 0.8 ± `spread` on random galaxies; None leaves the last
    layer's weights as they are, where a spread would magnify rounding.
    """
    network = ViewpointNetwork(spec, tree)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim == 4:
                parameter.normal_(0, math.sqrt(2 / parameter[0].numel()))
            elif parameter.ndim == 2:
                parameter.normal_(0, math.sqrt(2 / parameter.shape[1]))
            else:
                parameter.normal_(0, 0.1)
        views = ViewpointSampler()(galaxies(4, 176, 0.5, seed=99), averaging_transforms()[::13])
        raw = network.eval().raw(network.viewpoint_features(views)).flatten(0, -2)
        squeeze = torch.ones(tree.answer_count) if spread is None else spread / raw.std(0)
        network.last.weight *= squeeze[:, None]
        network.last.bias.copy_(0.8 + (network.last.bias - raw.mean(0)) * squeeze)
    return network
