"""The steps of a network, from crops to mean answers."""

from __future__ import annotations

from typing import cast

import torch

from pipeline.averaging.kernels.convolution import convolution
from pipeline.averaging.kernels.dense import ORDERS, activation, first_dense, product
from pipeline.averaging.kernels.first_convolution import first_convolution
from pipeline.averaging.kernels.layout import Step
from pipeline.averaging.kernels.tail import inactive_layer, tail
from pipeline.geometry import VIEWPOINTS
from pipeline.network import ViewpointNetwork
from pipeline.network.layers import UntiedConvolution


def steps_of(network: ViewpointNetwork, dtype: torch.dtype, transforms: int) -> list[Step]:
    """All steps of a network after the sampling.

    Each reads what the one before it left. The last one leaves float32 answers, a row a galaxy.

    Parameters
    ----------
    dtype
        To compute in: float16 or bfloat16.
    transforms
        Sets of viewpoints of a galaxy.
    """
    positions = network.spec.map_sizes()[-1] ** 2
    steps = _convolutions(network, dtype)
    if network.viewpoint_dense is not None:
        shared = network.viewpoint_dense
        steps.append(product("viewpoint dense", shared, VIEWPOINTS, positions, dtype))
        steps.append(activation("viewpoint dense", shared, VIEWPOINTS))
        positions = 1
    first, *others = network.dense_layers
    steps += first_dense(first, positions, dtype)
    for number, layer in enumerate(others, start=2):
        steps.append(product(f"dense {number}", layer, ORDERS, 1, dtype))
        if number <= len(others):
            steps.append(activation(f"dense {number}", layer, ORDERS))
    return [*steps, tail(network, inactive_layer(network), transforms, dtype)]


def _convolutions(network: ViewpointNetwork, dtype: torch.dtype) -> list[Step]:
    lowered = network if network.dtype == dtype else network.lowered(dtype)
    steps, size = [], 0
    for number, own in enumerate(network.convolutions, start=1):
        layer = cast(UntiedConvolution, own)
        weight = cast(UntiedConvolution, lowered.convolutions[number - 1]).weight.detach()
        bias = layer.bias.detach().float().contiguous()
        steps.append(
            first_convolution(weight, bias, layer.pool)
            if number == 1
            else convolution(number, weight, bias, layer.pool, size)
        )
        size = bias.shape[0] // layer.pool
    return steps
